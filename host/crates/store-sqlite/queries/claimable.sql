SELECT id AS "id!: i64", plan_id AS "plan_id!: i64", attempt AS "attempt!: i64",
       EXISTS (SELECT 1 FROM pauses) AS "pauses!: bool"
FROM steps
WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NULL
ORDER BY priority DESC, id
LIMIT ?1
