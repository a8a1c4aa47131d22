UPDATE tokens
SET revoked_at = $2
WHERE id = ANY ($1::bigint[]) AND revoked_at IS NULL
RETURNING id AS "id!"
