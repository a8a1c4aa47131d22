-- Some tasks in the order of their ids: which of them may go, how far it was looked, and whether all that follow are younger.
WITH seen AS MATERIALIZED (
    SELECT id, state, finished_at, created_at FROM tasks WHERE id > $1 ORDER BY id LIMIT $2
),
due AS MATERIALIZED (
    SELECT s.id, s.state,
           (SELECT count(*) FROM steps AS p WHERE p.id BETWEEN s.id << 16 AND (s.id << 16) | 65535) AS steps
    FROM seen AS s
    JOIN unnest($3::text[], $4::bigint[]) AS k (state, before) ON k.state = s.state
    WHERE s.finished_at < k.before
)
SELECT (SELECT count(*) FROM seen) AS "examined!", (SELECT max(id) FROM seen) AS "last?",
       coalesce((SELECT bool_or(created_at >= $5) FROM seen), false) AS "past!",
       coalesce((SELECT json_agg(json_build_array(id, state, steps) ORDER BY id) FROM due), '[]'::json)::text AS "due!"
