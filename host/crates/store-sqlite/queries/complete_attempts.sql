-- A value of json_each is written out anew each time that it is named: once is enough.
WITH j AS MATERIALIZED (SELECT value FROM json_each(?1))
INSERT INTO attempts (step_id, attempt, batch_id, status, digest, started_at, recorded_at, execution_us, cpu_us,
                      memory_bytes_peak, log)
SELECT s.id, s.attempt, s.batch_id, 'completed', unhex(j.value ->> 3), j.value ->> 4, ?2, j.value ->> 5, j.value ->> 6,
       j.value ->> 7, j.value ->> 8
FROM j
CROSS JOIN steps AS s ON s.id = j.value ->> 0
WHERE s.attempt = j.value ->> 1 AND s.batch_id = j.value ->> 2 AND s.state IN ('leased', 'in_progress')
