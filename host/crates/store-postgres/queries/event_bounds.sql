-- Rows that may not be read yet are among the last, and nothing beyond the first of them may be; nor what is not even there yet.
WITH late AS MATERIALIZED (
    SELECT id, written_at, xmin::text::bigint AS writer FROM events ORDER BY id DESC LIMIT 1000
),
held AS MATERIALIZED (
    SELECT min(id) AS id FROM late
    WHERE ((pg_snapshot_xmin(pg_current_snapshot())::text::bigint - writer) & 4294967295) >= 2147483648
      AND written_at >= now() - interval '1 hour'
)
SELECT coalesce((SELECT min(id) FROM events), 0) AS "oldest!",
       coalesce((SELECT max(id) FROM events WHERE id < coalesce((SELECT id FROM held), 9223372036854775807)), 0) AS "newest!"
