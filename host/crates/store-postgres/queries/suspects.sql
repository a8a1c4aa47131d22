SELECT digest AS "digest!", losses::bigint AS "losses!", last_at AS "last_at!" FROM suspects ORDER BY last_at, digest
