INSERT INTO batches (id, worker_id, created_at, steps)
SELECT value ->> 0, value ->> 1, ?2, value -> 2
FROM json_each(?1)
