UPDATE tokens
SET revoked_at = ?2
WHERE id IN (SELECT value FROM json_each(?1)) AND revoked_at IS NULL
RETURNING id AS "id!: i64"
