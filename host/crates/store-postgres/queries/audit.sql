SELECT t.id AS "task_id!", t.plan_id AS "plan_id!", t.state AS "task_state!", s.id AS "id!", s.state AS "state!",
       s.pending_parents::bigint AS "pending_parents!", r.step_id IS NOT NULL AS "queued!",
       coalesce(r.parked, false) AS "parked!",
       (b.id IS NOT NULL AND b.ended IS NULL AND w.state IS NOT DISTINCT FROM 'joined') AS "held!"
FROM (SELECT id, plan_id, state
      FROM tasks
      WHERE id > $1 AND id <= $2 AND state IN ('pending', 'in_progress', 'error')
      ORDER BY id
      LIMIT $3) AS t
JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
LEFT JOIN ready AS r ON r.step_id = s.id
LEFT JOIN batches AS b ON b.id = s.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
ORDER BY s.id
