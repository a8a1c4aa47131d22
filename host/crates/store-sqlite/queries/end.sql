-- These always run together, and each call of the engine costs more than the statements do. Parameters in order of mention.
WITH j AS MATERIALIZED (SELECT value FROM json_each(?))
INSERT INTO attempts (step_id, attempt, batch_id, status, failure, digest, started_at, recorded_at, execution_us, cpu_us,
                      memory_bytes_peak, log, led_to, retry_at, usage)
SELECT s.id, s.attempt, s.batch_id, j.value ->> 7, j.value ->> 8, unhex(j.value ->> 9), j.value ->> 10, ?,
       j.value ->> 11, j.value ->> 12, j.value ->> 13, j.value ->> 14, j.value ->> 3, j.value ->> 6,
       j.value ->> 15
FROM j
CROSS JOIN steps AS s ON s.id = j.value ->> 0
WHERE s.attempt = j.value ->> 1 AND s.batch_id = j.value ->> 2 AND s.state IN ('leased', 'in_progress');
UPDATE steps
SET state = j.value ->> 3, failures = j.value ->> 4, losses = j.value ->> 5, ready_at = j.value ->> 6,
    progress = NULL, note = NULL
FROM json_each(?) AS j
WHERE steps.id = j.value ->> 0 AND steps.attempt = j.value ->> 1 AND steps.batch_id = j.value ->> 2
  AND steps.state IN ('leased', 'in_progress')
RETURNING id AS "id!: i64", attempt AS "attempt!: i64", batch_id AS "batch_id!: i64"
