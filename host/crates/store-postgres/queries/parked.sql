SELECT s.id AS "id!", s.plan_id AS "plan_id!", s.attempt::bigint AS "attempt!", true AS "pauses!"
FROM (SELECT step_id FROM ready WHERE parked AND step_id > $1 ORDER BY step_id LIMIT $2 FOR UPDATE) AS r
JOIN steps AS s ON s.id = r.step_id
ORDER BY s.id
