UPDATE steps
SET state = j.value ->> 2, failures = j.value ->> 3, losses = j.value ->> 4,
    output = coalesce(j.value ->> 5, output), ready_at = NULL, parked = 0, progress = NULL, note = NULL,
    batch_id = iif(state IN ('leased', 'in_progress'), batch_id, NULL)
FROM json_each(?1) AS j
WHERE steps.id = j.value ->> 0 AND steps.state = j.value ->> 1
RETURNING id AS "id!: i64"
