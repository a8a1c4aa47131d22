UPDATE tasks AS t
SET state = j.state,
    started_at = CASE WHEN j.state = 'in_progress' THEN coalesce(t.started_at, $4) ELSE t.started_at END,
    finished_at = CASE WHEN j.state IN ('pending', 'in_progress') THEN NULL ELSE $4 END
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS j (id, from_state, state)
WHERE t.id = j.id AND t.state = j.from_state
RETURNING t.id AS "id!"
