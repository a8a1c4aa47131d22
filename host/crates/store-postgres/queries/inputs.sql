SELECT i.task_id AS "task_id!", i.context AS "context!", i.tags AS "tags!"
FROM unnest($1::bigint[]) AS j (id)
JOIN task_inputs AS i ON i.task_id = j.id
