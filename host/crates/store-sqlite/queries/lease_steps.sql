UPDATE steps
SET state = 'leased', attempt = attempt + 1, batch_id = j.value ->> 2
FROM json_each(?1) AS j
WHERE steps.id = j.value ->> 0 AND steps.attempt + 1 = j.value ->> 1 AND steps.state = 'ready' AND steps.ready_at IS NULL
