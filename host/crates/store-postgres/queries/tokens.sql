SELECT id AS "id!", name AS "name!", scope AS "scope!", created_at AS "created_at!", created_by AS "created_by!",
       used_at AS "used_at?", expires_at AS "expires_at?", revoked_at AS "revoked_at?"
FROM tokens
ORDER BY name, id
