UPDATE workers
SET state = j.value ->> 1, seen_at = ?2
FROM json_each(?1) AS j
WHERE workers.id = j.value ->> 0 AND workers.state = 'joined' AND (workers.orchestrator = ?3 OR workers.lease_until <= ?2)
RETURNING id AS "id!: i64"
