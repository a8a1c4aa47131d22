SELECT a.step_id AS "step_id!", a.attempt::bigint AS "attempt!", a.batch_id AS "batch_id!",
       coalesce(b.worker_id, 0) AS "worker_id!", coalesce(w.name, '') AS "worker_name!", a.status AS "status!",
       a.failure AS "failure?", a.digest AS "digest?", a.started_at AS "started_at?", a.recorded_at AS "recorded_at!",
       a.execution_us AS "execution_us!", a.cpu_us AS "cpu_us!", a.memory_bytes_peak AS "memory_bytes_peak!", a.log AS "log?", a.usage AS "usage?",
       a.led_to AS "led_to?", a.retry_at AS "retry_at?"
FROM attempts AS a
LEFT JOIN batches AS b ON b.id = a.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
WHERE a.step_id BETWEEN $1 AND $1 | 65535
ORDER BY a.step_id, a.attempt
