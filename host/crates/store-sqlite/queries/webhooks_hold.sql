-- Those that are free, or were held by this one before.
UPDATE webhooks
SET holder = ?1, held_until = ?2
WHERE enabled AND (holder IS NULL OR holder = ?1 OR held_until <= ?3)
RETURNING name AS "name!: String", url AS "url!: String", secret AS "secret!: String", filter AS "filter!: String",
       enabled AS "enabled!: bool", created_at AS "created_at!: i64", created_by AS "created_by!: String",
       position AS "position!: String", holder AS "holder?: String", held_until AS "held_until?: i64",
       delivered AS "delivered!: i64", delivered_at AS "delivered_at?: i64", failures AS "failures!: i64",
       failed_at AS "failed_at?: i64", failure AS "failure?: String"
