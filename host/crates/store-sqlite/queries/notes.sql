SELECT at AS "at!: i64", step_id AS "step_id?: i64", batch_id AS "batch_id?: i64", attempt AS "attempt?: i64",
       kind AS "kind!: String", detail AS "detail!: String"
FROM notes
WHERE task_id = ?1
ORDER BY id
