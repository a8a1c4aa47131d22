-- These always run together. Parameters in order of mention.
DELETE FROM task_inputs WHERE task_id IN (SELECT value FROM json_each(?));
DELETE FROM pauses WHERE scope = 'task' AND name IN (SELECT CAST(value AS TEXT) FROM json_each(?));
DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?)) RETURNING id AS "id!: i64"
