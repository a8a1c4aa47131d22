SELECT id AS "id!" FROM workers
WHERE id = ANY ($1::bigint[]) AND NOT (state = 'joined' AND orchestrator = $2)
