SELECT id AS "id!: i64", plan_id AS "plan_id!: i64", attempt AS "attempt!: i64", TRUE AS "pauses!: bool"
FROM steps
WHERE parked = 1 AND id > ?1
ORDER BY id
LIMIT ?2
