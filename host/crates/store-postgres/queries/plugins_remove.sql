DELETE FROM plugins
WHERE name = $1 AND version = ANY ($2::text[]) AND state <> 'enabled'
RETURNING version AS "version!"
