SELECT id AS "id!: i64", plan_id AS "plan_id!: i64", attempt AS "attempt!: i64"
FROM steps
WHERE state = 'ready' AND ready_at IS NULL
ORDER BY priority DESC, id
LIMIT ?1
