SELECT id AS "id!", worker_id AS "worker_id!", steps AS "steps!", ended AS "ended?"
FROM batches
WHERE worker_id = $1 AND ended IS NULL
ORDER BY id
