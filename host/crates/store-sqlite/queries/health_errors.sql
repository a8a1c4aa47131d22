-- The sign keeps the planner from indexing all steps by their state for this one statement.
SELECT s.plan_id AS "plan_id!: i64", s.id & 65535 AS "position!: i64", s.failures AS "failures!: i64", count(*) AS "count!: i64"
FROM tasks AS t
CROSS JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
WHERE t.state IN ('pending', 'in_progress', 'error') AND +s.state = 'error'
GROUP BY s.plan_id, s.id & 65535, s.failures
