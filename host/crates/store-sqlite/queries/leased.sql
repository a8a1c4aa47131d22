SELECT s.id AS "id!: i64", s.attempt AS "attempt!: i64", s.batch_id AS "batch_id!: i64", s.plan_id AS "plan_id!: i64",
       s.state AS "state!: String", s.failures AS "failures!: i64", s.losses AS "losses!: i64"
FROM json_each(?1) AS j
CROSS JOIN steps AS s ON s.id = j.value ->> 0
WHERE s.attempt = j.value ->> 1 AND s.batch_id = j.value ->> 2 AND s.state IN ('leased', 'in_progress')
