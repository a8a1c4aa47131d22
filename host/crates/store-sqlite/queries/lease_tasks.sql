UPDATE tasks
SET state = 'in_progress', started_at = ?2
WHERE state = 'pending' AND id IN (SELECT value FROM json_each(?1))
