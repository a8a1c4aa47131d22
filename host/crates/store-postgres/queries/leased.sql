SELECT s.id AS "id!", s.attempt::bigint AS "attempt!", s.batch_id AS "batch_id!", s.plan_id AS "plan_id!", s.state AS "state!",
       s.failures::bigint AS "failures!", s.losses::bigint AS "losses!"
FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS j (step_id, attempt, batch_id)
JOIN steps AS s ON s.id = j.step_id
WHERE s.attempt = j.attempt AND s.batch_id = j.batch_id AND s.state IN ('leased', 'in_progress')
