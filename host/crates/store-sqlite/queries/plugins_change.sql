UPDATE plugins
SET state = ?3, changed_at = ?4, changed_by = ?5, changed_why = ?6
WHERE name = ?1 AND version IN (SELECT value FROM json_each(?2))
