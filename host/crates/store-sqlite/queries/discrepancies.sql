SELECT count(*) AS "count!: i64", max(at) AS "last_at?: i64" FROM notes WHERE kind = 'discrepancy'
