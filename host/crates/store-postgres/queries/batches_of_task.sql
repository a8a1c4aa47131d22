-- Every batch that the task's steps, attempts or notes name.
WITH named AS MATERIALIZED (
    SELECT batch_id FROM attempts WHERE step_id BETWEEN $1::bigint << 16 AND ($1::bigint << 16) | 65535
    UNION
    SELECT batch_id FROM steps WHERE id BETWEEN $1::bigint << 16 AND ($1::bigint << 16) | 65535
    UNION
    SELECT batch_id FROM notes WHERE task_id = $1
)
SELECT b.id AS "id!", b.worker_id AS "worker_id!", coalesce(w.name, '') AS "worker_name!",
       coalesce(w.incarnation, '') AS "incarnation!", b.orchestrator AS "orchestrator?", b.created_at AS "created_at!",
       b.completed_at AS "completed_at?", b.closed_at AS "closed_at?", b.ended AS "ended?", b.asked_again AS "asked_again!",
       b.steps AS "steps!"
FROM named AS n
JOIN batches AS b ON b.id = n.batch_id
LEFT JOIN workers AS w ON w.id = b.worker_id
ORDER BY b.id
