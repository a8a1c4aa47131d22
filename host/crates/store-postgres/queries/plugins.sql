SELECT name, version, digest, bytes, description, registered_at FROM plugins ORDER BY name, registered_at, version
