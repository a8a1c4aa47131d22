SELECT at AS "at!", step_id AS "step_id?", batch_id AS "batch_id?", attempt AS "attempt?", kind AS "kind!", detail AS "detail!"
FROM notes
WHERE task_id = $1
ORDER BY id
