DELETE FROM notes WHERE task_id IS NULL AND batch_id IS NOT NULL AND batch_id IN (SELECT value FROM json_each(?1))
