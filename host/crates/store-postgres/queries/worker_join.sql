INSERT INTO workers (name, incarnation, host, pid, slots, orchestrator, state, lease_until, joined_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, 'joined', $7, $8, $8)
ON CONFLICT (incarnation) DO UPDATE
SET state = 'joined', orchestrator = excluded.orchestrator, lease_until = excluded.lease_until, seen_at = excluded.seen_at
RETURNING id AS "id!"
