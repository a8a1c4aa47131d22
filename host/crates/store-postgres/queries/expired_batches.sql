-- Some batches in the order of their ids: which of them nothing refers to any more, and the workers of the others.
WITH seen AS MATERIALIZED (
    SELECT id, worker_id, created_at, ended, steps FROM batches WHERE id > $1 ORDER BY id LIMIT $2
),
judged AS MATERIALIZED (
    SELECT s.id, s.worker_id,
           s.created_at < $3 AND s.ended IS NOT NULL
           AND NOT EXISTS (SELECT
                           FROM jsonb_array_elements(s.steps::jsonb) AS j (pair)
                           JOIN tasks AS t ON t.id = (j.pair ->> 0)::bigint >> 16) AS due
    FROM seen AS s
)
SELECT (SELECT count(*) FROM seen) AS "examined!", (SELECT max(id) FROM seen) AS "last?",
       coalesce((SELECT bool_or(created_at >= $4) FROM seen), false) AS "past!",
       coalesce((SELECT array_agg(id ORDER BY id) FROM judged WHERE due), '{}') AS "due!",
       coalesce((SELECT array_agg(DISTINCT worker_id) FROM judged WHERE NOT due), '{}') AS "workers!"
