UPDATE workers AS w
SET state = j.state, seen_at = $3
FROM unnest($1::bigint[], $2::text[]) AS j (id, state)
WHERE w.id = j.id AND w.state = 'joined' AND (w.orchestrator = $4 OR w.lease_until <= $3)
RETURNING w.id AS "id!"
