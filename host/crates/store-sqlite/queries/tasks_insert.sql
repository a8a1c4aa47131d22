INSERT INTO tasks (id, plan_id, namespace, template, state, priority, idempotency_key, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'pending', value ->> 4, value ->> 5, ?2
FROM json_each(?1)
