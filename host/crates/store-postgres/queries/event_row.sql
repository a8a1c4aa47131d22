SELECT id AS "id!", at AS "at!" FROM events WHERE id >= $1 ORDER BY id LIMIT 1
