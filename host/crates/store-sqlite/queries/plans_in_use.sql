SELECT plan_id AS "plan_id!: i64", count(*) AS "tasks!: i64"
FROM tasks
WHERE state IN ('pending', 'in_progress', 'error')
GROUP BY plan_id
