SELECT
    name, version, digest, bytes, description, registered_at, state, changed_at, changed_by, changed_why, source, signatures,
    imports
FROM plugins
ORDER BY name, registered_at, version
