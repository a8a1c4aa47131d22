UPDATE steps
SET state = 'complete', output = j.value ->> 3, progress = NULL, note = NULL
FROM json_each(?1) AS j
WHERE steps.id = j.value ->> 0 AND steps.attempt = j.value ->> 1 AND steps.batch_id = j.value ->> 2
  AND steps.state IN ('leased', 'in_progress')
RETURNING id AS "id!: i64", attempt AS "attempt!: i64", batch_id AS "batch_id!: i64", plan_id AS "plan_id!: i64"
