INSERT INTO task_inputs (task_id, context, tags)
SELECT value ->> 0, value ->> 6, value ->> 7
FROM json_each(?1)
