INSERT INTO workers (name, incarnation, host, pid, slots, state, lease_until, joined_at, seen_at)
VALUES (?1, ?2, ?3, ?4, ?5, 'joined', ?6, ?7, ?7)
ON CONFLICT (incarnation) DO UPDATE SET state = 'joined', lease_until = excluded.lease_until, seen_at = excluded.seen_at
RETURNING id AS "id!: i64"
