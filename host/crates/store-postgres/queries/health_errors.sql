SELECT s.plan_id AS "plan_id!", s.id & 65535 AS "position!", s.failures::bigint AS "failures!", count(*) AS "count!"
FROM tasks AS t
CROSS JOIN LATERAL (SELECT id, plan_id, state, failures
                    FROM steps
                    WHERE id BETWEEN t.id << 16 AND (t.id << 16) | 65535
                    OFFSET 0) AS s
WHERE t.state IN ('pending', 'in_progress', 'error') AND s.state = 'error'
GROUP BY s.plan_id, s.id & 65535, s.failures
