WITH names AS (
    SELECT p.id AS plan_id, p.namespace, p.name AS template, j.key AS position, j.value ->> 'name' AS step
    FROM plans AS p, json_each(p.content, '$.steps') AS j
),
ended AS (
    SELECT n.namespace, n.template, n.step, min(n.position) OVER (PARTITION BY n.namespace, n.template, n.step) AS position,
           a.status, a.execution_us,
           row_number() OVER same_kind AS rank,
           count(*) OVER (PARTITION BY n.namespace, n.template, n.step, a.status = 'lost') AS ranked
    FROM attempts AS a
    JOIN steps AS s ON s.id = a.step_id
    JOIN names AS n ON n.plan_id = s.plan_id AND n.position = s.id & 65535
    WHERE a.recorded_at >= ?1
    WINDOW same_kind AS (PARTITION BY n.namespace, n.template, n.step, a.status = 'lost' ORDER BY a.execution_us)
)
SELECT namespace AS "namespace!: String", template AS "template!: String", step AS "step!: String",
       sum(status = 'completed') AS "completed!: i64",
       sum(status = 'failed') AS "failed!: i64",
       sum(status = 'lost') AS "lost!: i64",
       max(iif(status <> 'lost' AND rank = (ranked + 1) / 2, execution_us, 0)) AS "p50_us!: i64",
       max(iif(status <> 'lost' AND rank = (ranked * 99 + 99) / 100, execution_us, 0)) AS "p99_us!: i64"
FROM ended
GROUP BY namespace, template, step
ORDER BY namespace, template, min(position)
