-- The most of each handler that could be needed, and of those the first: each handler's own queue is read in its order.
SELECT s.id AS "id!: i64", s.plan_id AS "plan_id!: i64", s.attempt AS "attempt!: i64",
       EXISTS (SELECT 1 FROM pauses) AS "pauses!: bool"
FROM json_each(?1) AS handler
JOIN steps AS s ON s.id IN (SELECT id
                            FROM steps
                            WHERE external = handler.value AND state = 'ready' AND ready_at IS NULL AND parked = 0
                              AND external IS NOT NULL
                            ORDER BY priority DESC, id
                            LIMIT ?2)
ORDER BY s.priority DESC, s.id
LIMIT ?2
