SELECT n.at AS "at!: i64", n.step_id AS "step_id?: i64", n.batch_id AS "batch_id?: i64", n.attempt AS "attempt?: i64",
       n.kind AS "kind!: String", n.detail AS "detail!: String"
FROM json_each(?1) AS j
CROSS JOIN notes AS n ON n.batch_id = j.value
WHERE n.batch_id IS NOT NULL
ORDER BY n.id
