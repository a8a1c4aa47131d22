INSERT INTO templates (namespace, name, version, source, registered_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
