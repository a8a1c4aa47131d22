SELECT a.step_id AS "step_id!: i64", a.attempt AS "attempt!: i64", s.plan_id AS "plan_id!: i64", a.status AS "status!: String",
       a.execution_us AS "execution_us!: i64", a.cpu_us AS "cpu_us!: i64", a.memory_bytes_peak AS "memory_bytes_peak!: i64",
       a.usage AS "usage?: String"
FROM attempts AS a
CROSS JOIN steps AS s ON s.id = a.step_id
WHERE (a.step_id, a.attempt) < (?1, ?2)
ORDER BY a.step_id DESC, a.attempt DESC
LIMIT ?3
