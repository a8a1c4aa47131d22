-- Some notes in the order of their ids: which of them are about neither a task nor a batch that is there.
WITH seen AS MATERIALIZED (
    SELECT id, at, task_id, batch_id FROM notes WHERE id > $1 ORDER BY id LIMIT $2
)
SELECT (SELECT count(*) FROM seen) AS "examined!", (SELECT max(id) FROM seen) AS "last?",
       coalesce((SELECT bool_or(at >= $4) FROM seen), false) AS "past!",
       coalesce((SELECT array_agg(s.id ORDER BY s.id)
                 FROM seen AS s
                 WHERE s.at < $3
                   AND NOT EXISTS (SELECT FROM tasks AS t WHERE t.id = s.task_id)
                   AND NOT EXISTS (SELECT FROM batches AS b WHERE b.id = s.batch_id)), '{}') AS "due!"
