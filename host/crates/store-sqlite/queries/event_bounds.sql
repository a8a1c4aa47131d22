SELECT coalesce((SELECT min(id) FROM events), 0) AS "oldest!: i64", coalesce((SELECT max(id) FROM events), 0) AS "newest!: i64"
