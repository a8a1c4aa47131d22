UPDATE workers
SET lease_until = ?2, seen_at = ?3
WHERE state = 'joined' AND orchestrator = ?4 AND id IN (SELECT value FROM json_each(?1))
RETURNING id AS "id!: i64"
