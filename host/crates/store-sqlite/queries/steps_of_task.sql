SELECT id AS "id!: i64", state AS "state!: String", attempt AS "attempt!: i64", failures AS "failures!: i64",
       losses AS "losses!: i64", pending_parents AS "pending_parents!: i64", batch_id AS "batch_id?: i64"
FROM steps
WHERE id BETWEEN ?1 AND ?1 | 65535
ORDER BY id
