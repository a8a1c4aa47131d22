SELECT s.id AS "id!: i64", s.state AS "state!: String", s.attempt AS "attempt!: i64", s.failures AS "failures!: i64",
       s.losses AS "losses!: i64", s.pending_parents AS "pending_parents!: i64", s.ready_at AS "ready_at?: i64",
       s.progress AS "progress?: f64", s.note AS "note?: String", s.output AS "output?: String",
       s.batch_id AS "batch_id?: i64", w.name AS "worker?: String", a.failure AS "failure?: String",
       a.execution_us AS "execution_us?: i64"
FROM steps AS s
LEFT JOIN attempts AS a
       ON a.step_id = s.id AND a.attempt = iif(s.state IN ('leased', 'in_progress'), s.attempt - 1, s.attempt)
LEFT JOIN batches AS b ON b.id = s.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
WHERE s.id BETWEEN ?1 AND ?1 | 65535
ORDER BY s.id
