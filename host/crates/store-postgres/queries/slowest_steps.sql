-- Attempts of a second or longer from their index, and shorter ones through their tasks as in analytics_steps.sql. A row is there
-- even if none is found, so that the moment is known from which all were looked at.
WITH chosen AS MATERIALIZED (
    SELECT id
    FROM plans
    WHERE ($2::text IS NULL OR namespace = $2) AND ($3::text IS NULL OR name = $3) AND ($4::text IS NULL OR version = $4)
),
running AS MATERIALIZED (
    SELECT a.*
    FROM (SELECT id
          FROM tasks
          WHERE state IN ('pending', 'in_progress', 'error') AND finished_at IS NULL AND plan_id IN (SELECT id FROM chosen)
          ORDER BY id DESC) AS t
    CROSS JOIN LATERAL (SELECT step_id, attempt, execution_us, recorded_at, status
                        FROM attempts
                        WHERE step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND recorded_at >= $1
                        OFFSET 0) AS a
    ORDER BY t.id DESC
    LIMIT $6
),
settled AS MATERIALIZED (
    SELECT t.finished_at, a.*
    FROM (SELECT id, finished_at
          FROM tasks
          WHERE finished_at >= $1 AND plan_id IN (SELECT id FROM chosen)
          ORDER BY finished_at DESC
          LIMIT $6) AS t
    LEFT JOIN LATERAL (SELECT step_id, attempt, execution_us, recorded_at, status
                       FROM attempts
                       WHERE step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND recorded_at >= $1
                       OFFSET 0) AS a ON true
    ORDER BY t.finished_at DESC
    LIMIT $6
),
long AS MATERIALIZED (
    SELECT a.step_id, a.attempt, a.execution_us
    FROM attempts AS a
    JOIN steps AS s ON s.id = a.step_id
    WHERE a.execution_us >= 1000000 AND a.recorded_at >= $1 AND a.status <> 'lost' AND s.plan_id IN (SELECT id FROM chosen)
    ORDER BY a.execution_us DESC, a.step_id, a.attempt
    LIMIT $5
),
reach AS (
    SELECT count(*) >= $6 AS is_full, greatest($1, min(finished_at) + 1) AS narrowed, max(recorded_at) AS newest FROM settled
),
edge AS (
    SELECT CASE WHEN is_full AND coalesce(newest >= narrowed, false) THEN narrowed ELSE $1 END AS since,
           (is_full AND NOT coalesce(newest >= narrowed, false)) OR (SELECT count(*) FROM running) >= $6 AS sampled
    FROM reach
),
found AS MATERIALIZED (
    SELECT step_id, attempt, execution_us FROM long
    UNION
    SELECT step_id, attempt, execution_us
    FROM (SELECT step_id, attempt, execution_us, recorded_at, status FROM running
          UNION ALL
          SELECT step_id, attempt, execution_us, recorded_at, status FROM settled) AS short
    WHERE recorded_at >= (SELECT since FROM edge) AND status <> 'lost'
    ORDER BY execution_us DESC, step_id, attempt
    LIMIT $5
)
SELECT e.since AS "since!", e.sampled AS "sampled!", f.step_id AS "step_id?", s.plan_id AS "plan_id?", s.state AS "state?",
       f.attempt::bigint AS "attempt?", s.attempt::bigint AS "attempts?", a.status AS "status?", a.execution_us AS "execution_us?",
       a.cpu_us AS "cpu_us?", a.recorded_at AS "recorded_at?", a.batch_id AS "batch_id?", w.name AS "worker?"
FROM edge AS e
LEFT JOIN found AS f ON true
LEFT JOIN steps AS s ON s.id = f.step_id
LEFT JOIN attempts AS a ON a.step_id = f.step_id AND a.attempt = f.attempt
LEFT JOIN batches AS b ON b.id = a.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
ORDER BY f.execution_us DESC, f.step_id, f.attempt
