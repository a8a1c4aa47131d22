DELETE FROM notes WHERE task_id IS NOT NULL AND task_id IN (SELECT value FROM json_each(?1))
