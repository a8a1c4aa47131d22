WITH moved AS (
    UPDATE steps AS s
    SET pending_parents = s.pending_parents - j.finished,
        state = CASE WHEN s.pending_parents = j.finished THEN 'ready' ELSE 'pending' END
    FROM unnest($1::bigint[], $2::integer[]) AS j (step_id, finished)
    WHERE s.id = j.step_id AND s.state = 'pending'
    RETURNING s.id, s.priority, s.state, s.external
),
queued AS (
    INSERT INTO ready (step_id, priority, external) SELECT id, priority, external FROM moved WHERE state = 'ready'
)
SELECT id AS "id!" FROM moved WHERE state = 'ready'
