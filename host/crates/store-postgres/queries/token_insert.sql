INSERT INTO tokens (name, scope, hash, created_at, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id AS "id!"
