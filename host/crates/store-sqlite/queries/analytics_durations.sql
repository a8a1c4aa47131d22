-- [[finished_at, total, running], …]
SELECT json_group_array(json_array(finished_at, finished_at - created_at, finished_at - started_at)) AS "durations!: String"
FROM (SELECT finished_at, created_at, started_at
      FROM tasks
      WHERE finished_at >= ?1 AND state = 'complete'
        AND (?2 IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = ?2))
      ORDER BY finished_at DESC
      LIMIT ?3)
