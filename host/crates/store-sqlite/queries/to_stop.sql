SELECT id AS "id!: i64", attempt AS "attempt!: i64", batch_id AS "batch_id!: i64"
FROM steps
WHERE state = 'cancelled' AND batch_id IS NOT NULL
