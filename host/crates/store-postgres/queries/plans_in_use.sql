SELECT plan_id, count(*) AS "tasks!"
FROM tasks
WHERE state IN ('pending', 'in_progress', 'error')
GROUP BY plan_id
