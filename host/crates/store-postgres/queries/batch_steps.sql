SELECT (j.pair ->> 0)::bigint AS "step_id!", (j.pair ->> 1)::bigint AS "attempt!", s.plan_id AS "plan_id?",
       a.status AS "status?", a.recorded_at AS "recorded_at?", a.execution_us AS "execution_us?", a.digest AS "digest?",
       a.failure AS "failure?", a.led_to AS "led_to?", a.retry_at AS "retry_at?"
FROM batches AS b
CROSS JOIN LATERAL jsonb_array_elements(b.steps::jsonb) WITH ORDINALITY AS j (pair, place)
LEFT JOIN steps AS s ON s.id = (j.pair ->> 0)::bigint
LEFT JOIN attempts AS a ON a.step_id = (j.pair ->> 0)::bigint AND a.attempt = (j.pair ->> 1)::integer AND a.batch_id = b.id
WHERE b.id = $1
ORDER BY j.place
