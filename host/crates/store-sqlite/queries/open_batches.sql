SELECT id AS "id!: i64", worker_id AS "worker_id!: i64", steps AS "steps!: String", ended AS "ended?: String"
FROM batches
WHERE worker_id = ?1 AND ended IS NULL
