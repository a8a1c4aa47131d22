SELECT b.id AS "id!: i64", b.worker_id AS "worker_id!: i64", coalesce(w.name, '') AS "worker_name!: String",
       coalesce(w.incarnation, '') AS "incarnation!: String", b.orchestrator AS "orchestrator?: String",
       b.created_at AS "created_at!: i64", b.completed_at AS "completed_at?: i64", b.closed_at AS "closed_at?: i64",
       b.ended AS "ended?: String", b.asked_again AS "asked_again!: i64", b.steps AS "steps!: String"
FROM batches AS b
LEFT JOIN workers AS w ON w.id = b.worker_id
WHERE b.id BETWEEN ?1 AND ?2
  AND (?3 IS NULL OR w.name = ?3)
  AND (?4 IS NULL OR coalesce(b.ended, 'open') = ?4)
  AND b.created_at >= ?5
ORDER BY b.id DESC
LIMIT ?6
