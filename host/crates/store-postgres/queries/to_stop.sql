DELETE FROM stops AS s
USING batches AS b
WHERE b.id = s.batch_id AND b.worker_id = ANY ($1::bigint[])
RETURNING s.step_id AS "id!", s.attempt::bigint AS "attempt!", s.batch_id AS "batch_id!"
