SELECT s.id AS "id!", s.state AS "state!", s.attempt::bigint AS "attempt!", s.failures::bigint AS "failures!",
       s.losses::bigint AS "losses!", s.pending_parents::bigint AS "pending_parents!", r.ready_at AS "ready_at?",
       s.progress AS "progress?", s.note AS "note?",
       coalesce(s.output, CASE WHEN s.state = 'complete' THEN a.output END) AS "output?",
       s.batch_id AS "batch_id?", w.name AS "worker?", a.failure AS "failure?", a.execution_us AS "execution_us?"
FROM steps AS s
LEFT JOIN ready AS r ON r.step_id = s.id
LEFT JOIN attempts AS a
       ON a.step_id = s.id AND a.attempt = CASE WHEN s.state IN ('leased', 'in_progress') THEN s.attempt - 1 ELSE s.attempt END
LEFT JOIN batches AS b ON b.id = s.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
WHERE s.id BETWEEN $1 AND $1 | 65535
ORDER BY s.id
