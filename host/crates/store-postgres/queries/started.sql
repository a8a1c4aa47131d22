UPDATE steps AS s
SET state = 'in_progress', progress = coalesce(j.progress, s.progress), note = coalesce(j.note, s.note)
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::double precision[], $5::text[])
     AS j (step_id, attempt, batch_id, progress, note)
WHERE s.id = j.step_id AND s.attempt = j.attempt AND s.batch_id = j.batch_id AND s.state IN ('leased', 'in_progress')
RETURNING s.id AS "id!", s.attempt AS "attempt!"
