UPDATE steps SET ready_at = NULL WHERE ready_at IS NOT NULL AND ready_at <= ?1
RETURNING id AS "id!: i64"
