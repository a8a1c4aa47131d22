SELECT coalesce((SELECT min(id) FROM events), 0) AS "oldest!",
       coalesce((SELECT id FROM events
                 WHERE horizon <= pg_snapshot_xmin(pg_current_snapshot()) OR written_at < now() - interval '1 hour'
                 ORDER BY id DESC LIMIT 1), 0) AS "newest!"
