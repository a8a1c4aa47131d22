SELECT coalesce(array_agg(finished_at), '{}') AS "finished_at!: Vec<i64>", coalesce(array_agg(finished_at - created_at), '{}') AS "total!: Vec<i64>",
       coalesce(array_agg(finished_at - started_at), '{}') AS "running!: Vec<Option<i64>>"
FROM (SELECT finished_at, created_at, started_at
      FROM tasks
      WHERE finished_at >= $1 AND state = 'complete'
        AND ($2::text IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = $2))
      ORDER BY finished_at DESC
      LIMIT $3) AS newest
