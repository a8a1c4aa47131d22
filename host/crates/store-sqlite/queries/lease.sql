-- These always run together, and each call of the engine costs more than the statements do. Parameters in order of mention.
-- What is returned is read while the tasks of these steps are still as they were.
INSERT INTO batches (id, worker_id, orchestrator, created_at, steps)
SELECT j.value ->> 0, w.id, w.orchestrator, ?, j.value -> 2
FROM json_each(?) AS j
JOIN workers AS w ON w.id = j.value ->> 1 AND w.state = 'joined' AND w.orchestrator = ?;
UPDATE steps
SET state = 'leased', attempt = attempt + 1, batch_id = j.value ->> 2
FROM json_each(?) AS j
WHERE steps.id = j.value ->> 0 AND steps.attempt + 1 = j.value ->> 1 AND steps.state = 'ready' AND steps.ready_at IS NULL AND steps.parked = 0
  AND EXISTS (SELECT 1 FROM batches WHERE batches.id = j.value ->> 2)
RETURNING id AS "id!: i64",
          steps.attempt = 1 AND (SELECT tasks.state FROM tasks WHERE tasks.id = steps.id >> 16) = 'pending' AS "starts!: bool";
UPDATE tasks
SET state = 'in_progress', started_at = ?
WHERE state = 'pending' AND id IN (SELECT value FROM json_each(?))
