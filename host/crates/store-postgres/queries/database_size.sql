SELECT pg_database_size(current_database()) AS "bytes!", NULL::bigint AS "free_bytes?"
