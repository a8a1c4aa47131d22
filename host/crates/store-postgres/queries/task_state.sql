-- First the places in the ready queue, then the task: in this order a claim takes them too.
WITH waiting AS MATERIALIZED (
    SELECT step_id FROM ready WHERE step_id BETWEEN $1::bigint << 16 AND ($1::bigint << 16) | 65535 ORDER BY step_id FOR UPDATE
)
SELECT plan_id AS "plan_id!", state AS "state!"
FROM tasks
WHERE id = $1 AND (SELECT count(*) FROM waiting) >= 0
FOR NO KEY UPDATE
