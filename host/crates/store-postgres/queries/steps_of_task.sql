SELECT id AS "id!", state AS "state!", attempt::bigint AS "attempt!", failures::bigint AS "failures!", losses::bigint AS "losses!",
       pending_parents::bigint AS "pending_parents!", batch_id AS "batch_id?"
FROM steps
WHERE id BETWEEN $1 AND $1 | 65535
ORDER BY id
