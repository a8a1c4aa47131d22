SELECT id AS "id!", plan_id AS "plan_id!" FROM tasks WHERE id = ANY ($1::bigint[])
