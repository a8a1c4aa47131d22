INSERT INTO steps (id, plan_id, state, pending_parents, priority)
SELECT value ->> 0, value ->> 1, iif(value ->> 2 = 0, 'ready', 'pending'), value ->> 2, value ->> 3
FROM json_each(?1)
