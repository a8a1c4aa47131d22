WITH j AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::text[])
                  AS j (step_id, from_state, state, failures, losses, output)
),
moved AS (
    UPDATE steps AS s
    SET state = j.state, failures = j.failures, losses = j.losses, output = coalesce(j.output, s.output), progress = NULL,
        note = NULL
    FROM j
    WHERE s.id = j.step_id AND s.state = j.from_state
    RETURNING s.id, s.attempt, s.batch_id, s.priority, s.external, j.from_state, j.state
),
unready AS (
    DELETE FROM ready USING moved AS m WHERE ready.step_id = m.id AND m.from_state = 'ready' AND m.state <> 'ready'
),
made_ready AS (
    INSERT INTO ready (step_id, priority, external)
    SELECT id, priority, external FROM moved WHERE state = 'ready' AND from_state <> 'ready'
),
stopped AS (
    INSERT INTO stops (step_id, attempt, batch_id)
    SELECT id, attempt, batch_id FROM moved WHERE state = 'cancelled' AND from_state IN ('leased', 'in_progress')
)
SELECT id AS "id!" FROM moved
