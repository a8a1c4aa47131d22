-- As claimable.sql, among the steps of these external handlers.
WITH claimed AS MATERIALIZED (
    SELECT step_id, priority
    FROM ready
    WHERE ready_at IS NULL AND NOT parked AND external IS NOT NULL AND external = ANY ($1::text[])
    ORDER BY priority DESC, step_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
SELECT s.id AS "id!", s.plan_id AS "plan_id!", s.attempt::bigint AS "attempt!", EXISTS (SELECT FROM pauses) AS "pauses!"
FROM claimed AS c
JOIN steps AS s ON s.id = c.step_id
ORDER BY c.priority DESC, c.step_id
