SELECT b.id AS "id!", b.worker_id AS "worker_id!", coalesce(w.name, '') AS "worker_name!",
       coalesce(w.incarnation, '') AS "incarnation!", b.orchestrator AS "orchestrator?", b.created_at AS "created_at!",
       b.completed_at AS "completed_at?", b.closed_at AS "closed_at?", b.ended AS "ended?", b.asked_again AS "asked_again!",
       b.steps AS "steps!"
FROM batches AS b
LEFT JOIN workers AS w ON w.id = b.worker_id
WHERE b.id BETWEEN $1 AND $2
  AND ($3::text IS NULL OR w.name = $3)
  AND ($4::text IS NULL OR coalesce(b.ended, 'open') = $4)
  AND b.created_at >= $5
ORDER BY b.id DESC
LIMIT $6
