SELECT digest AS "digest!: Vec<u8>", losses AS "losses!: i64", last_at AS "last_at!: i64" FROM suspects ORDER BY last_at, digest
