SELECT t.id AS "id!: i64", t.plan_id AS "plan_id!: i64"
FROM json_each(?1) AS j
JOIN tasks AS t ON t.id = j.value
