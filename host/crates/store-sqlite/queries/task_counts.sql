SELECT state AS "state!: String", count(*) AS "count!: i64" FROM tasks GROUP BY state
