SELECT id AS "id!: i64", name AS "name!: String", hash AS "hash!: Vec<u8>", expires_at AS "expires_at?: i64"
FROM tokens
WHERE scope = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
ORDER BY id
