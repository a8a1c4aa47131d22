WITH j AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[],
                         $8::bigint[], $9::bigint[], $10::text[], $12::text[])
                  AS j (step_id, attempt, batch_id, output, digest, started_at, execution_us, cpu_us, memory_bytes_peak, log,
                        usage)
),
moved AS (
    UPDATE steps AS s
    SET state = 'complete', progress = NULL, note = NULL
    FROM j
    WHERE s.id = j.step_id AND s.attempt = j.attempt AND s.batch_id = j.batch_id AND s.state IN ('leased', 'in_progress')
    RETURNING s.id, s.attempt, s.batch_id, s.plan_id, j.output, j.digest, j.started_at, j.execution_us, j.cpu_us,
              j.memory_bytes_peak, j.log, j.usage
),
lines AS (
    INSERT INTO attempts (step_id, attempt, batch_id, status, output, digest, started_at, recorded_at, execution_us, cpu_us,
                          memory_bytes_peak, log, usage)
    SELECT id, attempt, batch_id, 'completed', output, digest, started_at, $11, execution_us, cpu_us, memory_bytes_peak, log,
           usage
    FROM moved
)
SELECT id AS "id!", attempt::bigint AS "attempt!", batch_id AS "batch_id!", plan_id AS "plan_id!" FROM moved
