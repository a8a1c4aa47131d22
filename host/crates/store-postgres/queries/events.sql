-- A row may be read once every transaction that could still commit one with a smaller number has ended: all before the one that wrote
-- it, whose number has 32 bits and comes round. What is an hour old may be read whatever the numbers say.
SELECT id AS "id!", at AS "at!", content AS "content!",
       (((pg_snapshot_xmin(pg_current_snapshot())::text::bigint - xmin::text::bigint) & 4294967295) < 2147483648
        OR written_at < now() - interval '1 hour') AS "settled!"
FROM events
WHERE id > $1 AND ($2::bigint IS NULL OR first_task <= $2 AND last_task >= $2)
ORDER BY id
LIMIT $3
