UPDATE tasks
SET state = j.value ->> 2,
    started_at = iif(j.value ->> 2 = 'in_progress', coalesce(started_at, ?2), started_at),
    finished_at = iif(j.value ->> 2 IN ('pending', 'in_progress'), NULL, ?2)
FROM json_each(?1) AS j
WHERE tasks.id = j.value ->> 0 AND tasks.state = j.value ->> 1
RETURNING id AS "id!: i64"
