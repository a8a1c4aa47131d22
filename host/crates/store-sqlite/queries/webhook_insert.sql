INSERT INTO webhooks (name, url, secret, filter, created_at, created_by, position)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING
