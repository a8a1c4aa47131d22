SELECT s.id AS "id!: i64", coalesce(s.output, 'null') AS "output!: String"
FROM json_each(?1) AS j
CROSS JOIN steps AS s ON s.id = j.value
