WITH due AS MATERIALIZED (
    SELECT step_id FROM ready WHERE ready_at <= $1 FOR UPDATE SKIP LOCKED
)
UPDATE ready SET ready_at = NULL FROM due WHERE ready.step_id = due.step_id
RETURNING ready.step_id AS "id!"
