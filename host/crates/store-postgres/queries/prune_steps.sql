WITH j AS MATERIALIZED (
    SELECT id << 16 AS first, (id << 16) | 65535 AS last FROM unnest($1::bigint[]) AS u (id)
),
unqueued AS (
    DELETE FROM ready USING j WHERE ready.step_id BETWEEN j.first AND j.last
),
told AS (
    DELETE FROM stops USING j WHERE stops.step_id BETWEEN j.first AND j.last
)
DELETE FROM steps AS s USING j WHERE s.id BETWEEN j.first AND j.last
