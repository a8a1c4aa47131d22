SELECT namespace, name, version, source, registered_at
FROM templates
WHERE namespace = $1 AND name = $2 AND ($3::text IS NULL OR version = $3)
ORDER BY id DESC
LIMIT 1
