SELECT b.id AS "id!", b.worker_id AS "worker_id!"
FROM unnest($1::bigint[]) AS j (id)
JOIN batches AS b ON b.worker_id = j.id
WHERE b.ended IS NULL AND b.created_at <= $2
