INSERT INTO pauses (scope, name, since, who, why)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
