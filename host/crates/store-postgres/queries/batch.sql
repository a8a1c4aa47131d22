SELECT id AS "id!", worker_id AS "worker_id!", steps AS "steps!", ended AS "ended?"
FROM batches
WHERE id = $1
