SELECT id AS "id!: i64", name AS "name!: String", scope AS "scope!: String", created_at AS "created_at!: i64",
       created_by AS "created_by!: String", used_at AS "used_at?: i64", expires_at AS "expires_at?: i64",
       revoked_at AS "revoked_at?: i64"
FROM tokens
ORDER BY name, id
