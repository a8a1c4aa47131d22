INSERT INTO suspects (digest, losses, last_at)
SELECT unhex(value), 1, ?3 FROM json_each(?1) WHERE TRUE
ON CONFLICT (digest) DO UPDATE SET losses = losses + 1, last_at = excluded.last_at WHERE last_at < ?2
RETURNING digest AS "digest!: Vec<u8>", losses AS "losses!: i64"
