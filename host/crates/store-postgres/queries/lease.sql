WITH j AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS j (step_id, attempt, batch_id)
),
made AS (
    INSERT INTO batches (id, worker_id, orchestrator, created_at, steps)
    SELECT n.id, n.worker_id, w.orchestrator, $8, n.steps
    FROM unnest($4::bigint[], $5::bigint[], $6::text[]) AS n (id, worker_id, steps)
    JOIN workers AS w ON w.id = n.worker_id AND w.state = 'joined' AND w.orchestrator = $9
    RETURNING id
),
-- In the order of their ids, so that two orchestrators that start the same tasks do not wait for each other in turn.
fresh AS MATERIALIZED (
    SELECT id FROM tasks WHERE id = ANY ($7::bigint[]) AND state = 'pending' ORDER BY id FOR NO KEY UPDATE
),
started AS (
    UPDATE tasks AS t SET state = 'in_progress', started_at = $8 FROM fresh WHERE t.id = fresh.id AND t.state = 'pending'
    RETURNING t.id
),
taken AS (
    DELETE FROM ready USING j WHERE ready.step_id = j.step_id
),
leased AS (
    UPDATE steps AS s
    SET state = 'leased', attempt = j.attempt, batch_id = j.batch_id
    FROM j
    JOIN made ON made.id = j.batch_id
    WHERE s.id = j.step_id AND s.attempt + 1 = j.attempt AND s.state = 'ready'
    RETURNING s.id
)
SELECT leased.id AS "id!", false AS "starts!" FROM leased
UNION ALL
SELECT started.id, true FROM started
