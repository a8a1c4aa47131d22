INSERT INTO steps (id, plan_id, state, pending_parents, priority)
SELECT ((t.value ->> 0) << 16) | p.key, t.value ->> 1, iif(p.value = 0, 'ready', 'pending'), p.value, t.value ->> 4
FROM json_each(?1) AS t, json_each(t.value, '$[8]') AS p
