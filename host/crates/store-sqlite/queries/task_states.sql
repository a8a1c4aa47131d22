SELECT t.id AS "id!: i64", t.state AS "state!: String"
FROM json_each(?1) AS j
CROSS JOIN tasks AS t ON t.id = j.value
