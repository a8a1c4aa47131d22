SELECT count(*) AS "locked!"
FROM (SELECT id FROM tasks WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE) AS l
