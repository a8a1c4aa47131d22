-- Every batch that the task's steps, attempts or notes name.
WITH named AS MATERIALIZED (
    SELECT batch_id FROM attempts WHERE step_id BETWEEN ?1 << 16 AND (?1 << 16) | 65535
    UNION
    SELECT batch_id FROM steps WHERE id BETWEEN ?1 << 16 AND (?1 << 16) | 65535
    UNION
    SELECT batch_id FROM notes WHERE task_id = ?1
)
SELECT b.id AS "id!: i64", b.worker_id AS "worker_id!: i64", coalesce(w.name, '') AS "worker_name!: String",
       coalesce(w.incarnation, '') AS "incarnation!: String", b.orchestrator AS "orchestrator?: String",
       b.created_at AS "created_at!: i64", b.completed_at AS "completed_at?: i64", b.closed_at AS "closed_at?: i64",
       b.ended AS "ended?: String", b.asked_again AS "asked_again!: i64", b.steps AS "steps!: String"
FROM named
CROSS JOIN batches AS b ON b.id = named.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
ORDER BY b.id
