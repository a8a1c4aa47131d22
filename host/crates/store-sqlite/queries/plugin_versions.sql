SELECT
    name, version, digest, bytes, description, registered_at, state, changed_at, changed_by, changed_why, source, signatures,
    imports
FROM plugins
WHERE name = ?1
ORDER BY registered_at, version
