DELETE FROM plugins
WHERE name = ?1 AND version IN (SELECT value FROM json_each(?2)) AND state <> 'enabled'
RETURNING version AS "version!: String"
