SELECT b.id AS "id!: i64", b.worker_id AS "worker_id!: i64"
FROM json_each(?1) AS j
CROSS JOIN batches AS b ON b.worker_id = j.value
WHERE b.ended IS NULL AND b.created_at <= ?2
