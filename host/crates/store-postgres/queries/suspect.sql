INSERT INTO suspects AS s (digest, losses, last_at)
SELECT j.digest, 1, $3 FROM unnest($1::bytea[]) AS j (digest)
ON CONFLICT (digest) DO UPDATE SET losses = s.losses + 1, last_at = excluded.last_at WHERE s.last_at < $2
RETURNING digest AS "digest!", losses::bigint AS "losses!"
