SELECT s.state AS "state!: String", count(*) AS "count!: i64", sum(s.failures > 0) AS "failed!: i64"
FROM tasks AS t
CROSS JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
WHERE t.state IN ('pending', 'in_progress', 'error')
GROUP BY s.state
