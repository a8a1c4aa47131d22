WITH slowest AS MATERIALIZED (
    SELECT id, plan_id, state, created_at, started_at, finished_at
    FROM tasks
    WHERE finished_at >= $1
      AND plan_id IN (SELECT id
                      FROM plans
                      WHERE ($2::text IS NULL OR namespace = $2) AND ($3::text IS NULL OR name = $3)
                        AND ($4::text IS NULL OR version = $4))
    ORDER BY finished_at - created_at DESC, id
    LIMIT $5
)
SELECT t.id AS "id!", p.namespace AS "namespace!", p.name AS "template!", p.version AS "version!", t.state AS "state!",
       t.created_at AS "created_at!", t.started_at AS "started_at?", t.finished_at AS "finished_at!",
       (SELECT count(*) FROM steps AS s WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535) AS "steps!",
       (SELECT count(*) FROM attempts AS a WHERE a.step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535) AS "attempts!"
FROM slowest AS t
JOIN plans AS p ON p.id = t.plan_id
ORDER BY t.finished_at - t.created_at DESC, t.id
