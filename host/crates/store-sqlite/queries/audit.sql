SELECT t.id AS "task_id!: i64", t.plan_id AS "plan_id!: i64", t.state AS "task_state!: String", s.id AS "id!: i64",
       s.state AS "state!: String", s.pending_parents AS "pending_parents!: i64", s.state = 'ready' AS "queued!: bool",
       s.parked AS "parked!: bool",
       (b.ended IS NULL AND w.state IS 'joined') AS "held!: bool"
FROM (SELECT id, plan_id, state
      FROM tasks
      WHERE id > ?1 AND id <= ?2 AND state IN ('pending', 'in_progress', 'error')
      ORDER BY id
      LIMIT ?3) AS t
JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
LEFT JOIN batches AS b ON b.id = s.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
ORDER BY s.id
