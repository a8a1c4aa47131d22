WITH noted AS (
    DELETE FROM notes AS n USING unnest($1::bigint[]) AS j (id) WHERE n.batch_id = j.id AND n.task_id IS NULL RETURNING n.id
),
removed AS (
    DELETE FROM batches AS b USING unnest($1::bigint[]) AS j (id) WHERE b.id = j.id AND b.ended IS NOT NULL RETURNING b.id
)
SELECT (SELECT count(*) FROM removed) AS "batches!", (SELECT count(*) FROM noted) AS "notes!"
