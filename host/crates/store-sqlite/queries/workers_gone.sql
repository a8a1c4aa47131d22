SELECT id AS "id!: i64" FROM workers
WHERE id IN (SELECT value FROM json_each(?1)) AND NOT (state = 'joined' AND orchestrator = ?2)
