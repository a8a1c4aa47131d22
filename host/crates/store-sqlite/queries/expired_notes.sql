-- Some notes in the order of their ids: which of them are about neither a task nor a batch that is there.
WITH seen AS MATERIALIZED (
    SELECT id, at, task_id, batch_id FROM notes WHERE id > ?1 ORDER BY id LIMIT ?2
)
SELECT (SELECT count(*) FROM seen) AS "examined!: i64", (SELECT max(id) FROM seen) AS "last?: i64",
       coalesce((SELECT max(at >= ?4) FROM seen), false) AS "past!: bool",
       (SELECT json_group_array(seen.id)
        FROM seen
        WHERE seen.at < ?3
          AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = seen.task_id)
          AND NOT EXISTS (SELECT 1 FROM batches AS b WHERE b.id = seen.batch_id)) AS "due!: String"
