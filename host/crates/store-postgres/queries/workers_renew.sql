UPDATE workers
SET lease_until = $2, seen_at = $3
WHERE state = 'joined' AND orchestrator = $4 AND id = ANY ($1::bigint[])
RETURNING id AS "id!"
