INSERT INTO notes (at, task_id, step_id, batch_id, attempt, kind, detail)
SELECT ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
FROM json_each(?1)
