-- A row may be read once every transaction that could still commit one with a smaller number has ended. What is an hour old may be
-- read whatever the numbers of transactions say: they begin anew when a database is restored elsewhere.
SELECT id AS "id!", at AS "at!", content AS "content!",
       (horizon <= pg_snapshot_xmin(pg_current_snapshot()) OR written_at < now() - interval '1 hour') AS "settled!"
FROM events
WHERE id > $1 AND ($2::bigint IS NULL OR first_task <= $2 AND last_task >= $2)
ORDER BY id
LIMIT $3
