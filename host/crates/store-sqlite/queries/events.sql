SELECT id AS "id!: i64", at AS "at!: i64", content AS "content!: String", 1 AS "settled!: bool"
FROM events
WHERE id > ?1 AND (?2 IS NULL OR first_task <= ?2 AND last_task >= ?2)
ORDER BY id
LIMIT ?3
