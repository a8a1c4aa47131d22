SELECT a.step_id AS "step_id!: i64", a.attempt AS "attempt!: i64", a.batch_id AS "batch_id!: i64",
       b.worker_id AS "worker_id!: i64", w.name AS "worker_name!: String", a.status AS "status!: String",
       a.failure AS "failure?: String", a.digest AS "digest?: Vec<u8>", a.started_at AS "started_at?: i64",
       a.recorded_at AS "recorded_at!: i64", a.execution_us AS "execution_us!: i64", a.cpu_us AS "cpu_us!: i64",
       a.memory_bytes_peak AS "memory_bytes_peak!: i64", a.usage AS "usage?: String", a.log AS "log?: String",
       a.led_to AS "led_to?: String", a.retry_at AS "retry_at?: i64"
FROM attempts AS a
JOIN batches AS b ON b.id = a.batch_id
JOIN workers AS w ON w.id = b.worker_id
WHERE a.step_id BETWEEN ?1 AND ?1 | 65535
ORDER BY a.step_id, a.attempt
