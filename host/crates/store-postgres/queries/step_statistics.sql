WITH names AS (
    SELECT p.id AS plan_id, p.namespace, p.name AS template, j.place - 1 AS position, j.step ->> 'name' AS step
    FROM plans AS p, jsonb_array_elements(p.content::jsonb -> 'steps') WITH ORDINALITY AS j (step, place)
)
SELECT n.namespace AS "namespace!", n.template AS "template!", n.step AS "step!",
       count(*) FILTER (WHERE a.status = 'completed') AS "completed!",
       count(*) FILTER (WHERE a.status = 'failed') AS "failed!",
       count(*) FILTER (WHERE a.status = 'lost') AS "lost!",
       coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY a.execution_us) FILTER (WHERE a.status <> 'lost'), 0) AS "p50_us!",
       coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY a.execution_us) FILTER (WHERE a.status <> 'lost'), 0) AS "p99_us!"
FROM attempts AS a
JOIN steps AS s ON s.id = a.step_id
JOIN names AS n ON n.plan_id = s.plan_id AND n.position = s.id & 65535
WHERE a.recorded_at >= $1
GROUP BY n.namespace, n.template, n.step
ORDER BY n.namespace, n.template, min(n.position)
