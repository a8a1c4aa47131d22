SELECT i.task_id AS "task_id!: i64", i.context AS "context!: String", i.tags AS "tags!: String"
FROM json_each(?1) AS j
CROSS JOIN task_inputs AS i ON i.task_id = j.value
