INSERT INTO plugins (name, version, digest, bytes, description, registered_at, source, signatures, imports)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT DO NOTHING
