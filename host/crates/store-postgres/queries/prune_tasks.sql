WITH inputs AS (
    DELETE FROM task_inputs AS i USING unnest($1::bigint[]) AS j (id) WHERE i.task_id = j.id
),
marks AS (
    DELETE FROM pauses AS p USING unnest($1::bigint[]) AS j (id) WHERE p.scope = 'task' AND p.name = j.id::text
)
DELETE FROM tasks AS t USING unnest($1::bigint[]) AS j (id) WHERE t.id = j.id
