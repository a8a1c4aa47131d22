-- These always run together, and each call of the engine costs more than the statements do. Parameters in order of mention.
INSERT INTO tasks (id, plan_id, namespace, template, state, priority, idempotency_key, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'pending', value ->> 4, value ->> 5, ?
FROM json_each(?);
INSERT INTO task_inputs (task_id, context, tags)
SELECT value ->> 0, value ->> 1, value ->> 2
FROM json_each(?);
INSERT INTO steps (id, plan_id, state, pending_parents, priority, ready_at, external)
SELECT value ->> 0, value ->> 1, iif(value ->> 2 = 0, 'ready', 'pending'), value ->> 2, value ->> 3,
       iif(value ->> 2 = 0, value ->> 4, NULL), value ->> 5
FROM json_each(?)
