INSERT INTO task_inputs (task_id, context, tags)
SELECT value ->> 0, value ->> 1, value ->> 2
FROM json_each(?1)
