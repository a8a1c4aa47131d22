SELECT a.step_id AS "step_id!: i64", a.attempt AS "attempt!: i64", a.batch_id AS "batch_id!: i64",
       a.digest AS "digest?: Vec<u8>"
FROM json_each(?1) AS j
CROSS JOIN attempts AS a ON a.step_id = j.value ->> 0 AND a.attempt = j.value ->> 1
WHERE a.batch_id = j.value ->> 2
