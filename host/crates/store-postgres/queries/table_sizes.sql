SELECT relname::text AS "name!", n_live_tup AS "rows!", n_dead_tup AS "dead_rows?",
       pg_total_relation_size(relid) - pg_indexes_size(relid) AS "bytes!", pg_indexes_size(relid) AS "index_bytes!",
       NULL::bigint AS "unused_bytes?",
       (extract(epoch FROM greatest(last_vacuum, last_autovacuum)) * 1000)::bigint AS "vacuumed_at?"
FROM pg_stat_user_tables
WHERE schemaname = current_schema()
ORDER BY pg_total_relation_size(relid) DESC, relname
