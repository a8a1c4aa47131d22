WITH moved AS (
    UPDATE steps AS s
    SET pending_parents = j.unfinished, state = CASE WHEN j.unfinished = 0 THEN 'ready' ELSE 'pending' END
    FROM unnest($1::bigint[], $2::integer[]) AS j (step_id, unfinished)
    WHERE s.id = j.step_id AND s.state = 'pending'
    RETURNING s.id, s.priority, s.state, s.external
)
INSERT INTO ready (step_id, priority, external) SELECT id, priority, external FROM moved WHERE state = 'ready'
RETURNING step_id AS "id!"
