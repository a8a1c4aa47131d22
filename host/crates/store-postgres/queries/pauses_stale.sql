DELETE FROM pauses AS p
USING tasks AS t
WHERE t.id = CASE WHEN p.scope = 'task' THEN p.name::bigint END AND t.state IN ('complete', 'cancelled', 'resolved_manually')
