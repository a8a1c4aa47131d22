WITH slowest AS MATERIALIZED (
    SELECT id, plan_id, state, created_at, started_at, finished_at
    FROM tasks
    WHERE finished_at >= ?1
      AND plan_id IN (SELECT id
                      FROM plans
                      WHERE (?2 IS NULL OR namespace = ?2) AND (?3 IS NULL OR name = ?3) AND (?4 IS NULL OR version = ?4))
    ORDER BY finished_at - created_at DESC, id
    LIMIT ?5
)
SELECT slowest.id AS "id!: i64", p.namespace AS "namespace!: String", p.name AS "template!: String", p.version AS "version!: String",
       slowest.state AS "state!: String", slowest.created_at AS "created_at!: i64", slowest.started_at AS "started_at?: i64",
       slowest.finished_at AS "finished_at!: i64",
       (SELECT count(*) FROM steps AS s WHERE s.id BETWEEN slowest.id << 16 AND (slowest.id << 16) | 65535) AS "steps!: i64",
       (SELECT count(*) FROM attempts AS a WHERE a.step_id BETWEEN slowest.id << 16 AND (slowest.id << 16) | 65535) AS "attempts!: i64"
FROM slowest
JOIN plans AS p ON p.id = slowest.plan_id
ORDER BY slowest.finished_at - slowest.created_at DESC, slowest.id
