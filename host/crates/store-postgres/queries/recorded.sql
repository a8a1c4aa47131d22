SELECT a.step_id AS "step_id!", a.attempt::bigint AS "attempt!", a.batch_id AS "batch_id!", a.digest AS "digest?"
FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS j (step_id, attempt, batch_id)
JOIN attempts AS a ON a.step_id = j.step_id AND a.attempt = j.attempt
WHERE a.batch_id = j.batch_id
