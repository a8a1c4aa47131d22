SELECT t.id AS "id!", t.plan_id AS "plan_id!", t.namespace AS "namespace!", t.template AS "template!",
       p.version AS "version!", t.state AS "state!", t.priority::bigint AS "priority!",
       t.idempotency_key AS "idempotency_key?", t.created_at AS "created_at!", t.started_at AS "started_at?",
       t.finished_at AS "finished_at?", c.steps AS "steps!", c.steps_finished AS "steps_finished!",
       c.steps_in_error AS "steps_in_error!"
FROM tasks AS t
JOIN plans AS p ON p.id = t.plan_id
CROSS JOIN LATERAL (
    SELECT count(*) AS steps,
           count(*) FILTER (WHERE s.state IN ('complete', 'skipped', 'resolved_manually')) AS steps_finished,
           count(*) FILTER (WHERE s.state = 'error') AS steps_in_error
    FROM steps AS s
    WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
) AS c
WHERE t.id BETWEEN $1 AND $2
  AND ($3::text[] IS NULL OR t.state = ANY ($3))
  AND ($4::text IS NULL OR t.namespace = $4)
  AND ($5::text IS NULL OR t.template = $5)
ORDER BY t.id DESC
LIMIT $6
