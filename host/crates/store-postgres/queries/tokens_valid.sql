SELECT id AS "id!", name AS "name!", hash AS "hash!", expires_at AS "expires_at?"
FROM tokens
WHERE scope = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
ORDER BY id
