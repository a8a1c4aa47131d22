SELECT id AS "id!: i64", at AS "at!: i64" FROM events WHERE id >= ?1 ORDER BY id LIMIT 1
