-- Some batches in the order of their ids: which of them nothing refers to any more, and the workers of the others.
WITH seen AS MATERIALIZED (
    SELECT id, worker_id, created_at, ended, steps FROM batches WHERE id > ?1 ORDER BY id LIMIT ?2
),
judged AS MATERIALIZED (
    SELECT seen.id, seen.worker_id,
           seen.created_at < ?3 AND seen.ended IS NOT NULL
           AND NOT EXISTS (SELECT 1
                           FROM json_each(seen.steps) AS j
                           CROSS JOIN tasks AS t ON t.id = (j.value ->> 0) >> 16) AS due
    FROM seen
)
SELECT (SELECT count(*) FROM seen) AS "examined!: i64", (SELECT max(id) FROM seen) AS "last?: i64",
       coalesce((SELECT max(created_at >= ?4) FROM seen), false) AS "past!: bool",
       (SELECT json_group_array(id) FROM judged WHERE due) AS "due!: String",
       (SELECT json_group_array(DISTINCT worker_id) FROM judged WHERE NOT due) AS "workers!: String"
