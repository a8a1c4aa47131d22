UPDATE steps
SET pending_parents = j.value ->> 1, state = iif(j.value ->> 1 = 0, 'ready', 'pending')
FROM json_each(?1) AS j
WHERE steps.id = j.value ->> 0 AND steps.state = 'pending'
RETURNING id AS "id!: i64", state AS "state!: String"
