INSERT INTO plugins (name, version, digest, bytes, description, registered_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
