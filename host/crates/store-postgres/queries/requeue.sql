WITH j AS MATERIALIZED (
    SELECT s.id, s.priority, s.state, s.external FROM unnest($1::bigint[]) AS u (id) JOIN steps AS s ON s.id = u.id
),
removed AS (
    DELETE FROM ready USING j WHERE ready.step_id = j.id AND j.state <> 'ready'
)
INSERT INTO ready (step_id, priority, external) SELECT id, priority, external FROM j WHERE state = 'ready' ON CONFLICT DO NOTHING
