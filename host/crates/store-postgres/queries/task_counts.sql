SELECT state AS "state!", count(*) AS "count!" FROM tasks GROUP BY state
