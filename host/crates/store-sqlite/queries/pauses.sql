SELECT scope AS "scope!: String", name AS "name!: String", since AS "since!: i64", who AS "who!: String", why AS "why!: String"
FROM pauses
ORDER BY since, scope, name
