SELECT n.at AS "at!", n.step_id AS "step_id?", n.batch_id AS "batch_id?", n.attempt AS "attempt?", n.kind AS "kind!",
       n.detail AS "detail!"
FROM unnest($1::bigint[]) AS j (id)
JOIN notes AS n ON n.batch_id = j.id
ORDER BY n.id
