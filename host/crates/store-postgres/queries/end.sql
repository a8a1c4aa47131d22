WITH j AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::integer[], $6::integer[], $7::bigint[],
                         $8::text[], $9::text[], $10::bytea[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
                         $15::text[], $17::text[])
                  AS j (step_id, attempt, batch_id, state, failures, losses, ready_at, status, failure, digest, started_at,
                        execution_us, cpu_us, memory_bytes_peak, log, usage)
),
moved AS (
    UPDATE steps AS s
    SET state = j.state, failures = j.failures, losses = j.losses, progress = NULL, note = NULL
    FROM j
    WHERE s.id = j.step_id AND s.attempt = j.attempt AND s.batch_id = j.batch_id AND s.state IN ('leased', 'in_progress')
    RETURNING s.priority, s.external, j.*
),
lines AS (
    INSERT INTO attempts (step_id, attempt, batch_id, status, failure, digest, started_at, recorded_at, execution_us, cpu_us,
                          memory_bytes_peak, log, led_to, retry_at, usage)
    SELECT step_id, attempt, batch_id, status, failure, digest, started_at, $16, execution_us, cpu_us, memory_bytes_peak, log,
           state, ready_at, usage
    FROM moved
),
queued AS (
    INSERT INTO ready (step_id, priority, ready_at, external) SELECT step_id, priority, ready_at, external FROM moved WHERE state = 'ready'
)
SELECT step_id AS "id!", attempt::bigint AS "attempt!", batch_id AS "batch_id!" FROM moved
