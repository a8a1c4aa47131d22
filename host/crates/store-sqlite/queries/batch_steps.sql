SELECT j.value ->> 0 AS "step_id!: i64", j.value ->> 1 AS "attempt!: i64", s.plan_id AS "plan_id?: i64",
       a.status AS "status?: String", a.recorded_at AS "recorded_at?: i64", a.execution_us AS "execution_us?: i64",
       a.digest AS "digest?: Vec<u8>", a.failure AS "failure?: String", a.led_to AS "led_to?: String",
       a.retry_at AS "retry_at?: i64"
FROM batches AS b
CROSS JOIN json_each(b.steps) AS j
LEFT JOIN steps AS s ON s.id = j.value ->> 0
LEFT JOIN attempts AS a ON a.step_id = j.value ->> 0 AND a.attempt = j.value ->> 1 AND a.batch_id = b.id
WHERE b.id = ?1
ORDER BY j.key
