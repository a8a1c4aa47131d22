SELECT s.id AS "id!: i64", s.attempt AS "attempt!: i64", s.batch_id AS "batch_id!: i64"
FROM steps AS s
JOIN batches AS b ON b.id = s.batch_id
WHERE s.state = 'cancelled' AND s.batch_id IS NOT NULL AND b.worker_id IN (SELECT value FROM json_each(?1))
