SELECT s.state AS "state!", count(*) AS "count!", count(*) FILTER (WHERE s.failures > 0) AS "failed!"
FROM tasks AS t
CROSS JOIN LATERAL (SELECT state, failures FROM steps WHERE id BETWEEN t.id << 16 AND (t.id << 16) | 65535 OFFSET 0) AS s
WHERE t.state IN ('pending', 'in_progress', 'error')
GROUP BY s.state
