-- Some tasks in the order of their ids: which of them may go, how far it was looked, and whether all that follow are younger.
WITH seen AS MATERIALIZED (
    SELECT id, state, finished_at, created_at FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2
),
due AS MATERIALIZED (
    SELECT seen.id, seen.state,
           (SELECT count(*) FROM steps AS p WHERE p.id BETWEEN seen.id << 16 AND (seen.id << 16) | 65535) AS steps
    FROM seen
    JOIN json_each(?3) AS k ON k.value ->> 0 = seen.state
    WHERE seen.finished_at < k.value ->> 1
    ORDER BY seen.id
)
SELECT (SELECT count(*) FROM seen) AS "examined!: i64", (SELECT max(id) FROM seen) AS "last?: i64",
       coalesce((SELECT max(created_at >= ?4) FROM seen), false) AS "past!: bool",
       (SELECT json_group_array(json_array(id, state, steps)) FROM due) AS "due!: String"
