INSERT INTO plans (digest, namespace, name, version, content)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
