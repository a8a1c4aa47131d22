UPDATE steps
SET state = 'in_progress', progress = coalesce(j.value ->> 3, progress), note = coalesce(j.value ->> 4, note)
FROM json_each(?1) AS j
WHERE steps.id = j.value ->> 0 AND steps.attempt = j.value ->> 1 AND steps.batch_id = j.value ->> 2
  AND steps.state IN ('leased', 'in_progress')
RETURNING id AS "id!: i64", attempt AS "attempt!: i64"
