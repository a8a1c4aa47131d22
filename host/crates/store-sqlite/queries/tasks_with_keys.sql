SELECT CAST(j.key AS INTEGER) AS "at!: i64", t.id AS "id!: i64"
FROM json_each(?1) AS j
CROSS JOIN tasks AS t ON t.namespace = j.value ->> 0 AND t.template = j.value ->> 1 AND t.idempotency_key = j.value ->> 2
WHERE t.idempotency_key IS NOT NULL
