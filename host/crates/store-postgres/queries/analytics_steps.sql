-- One statement, so that both are of the same moment: attempts of tasks that are under way, and of those that settled. Tasks are
-- cut off before their attempts are looked for, so that they come from their index whatever the planner thinks of the window;
-- the sum keeps the blocks' summary of moments, which cannot tell a task's rows apart, from being asked once for each task.
SELECT coalesce(r.recorded_at, '{}') AS "running_recorded_at!: Vec<i64>",
       coalesce(r.execution_us, '{}') AS "running_execution_us!: Vec<i64>", coalesce(r.status, '{}') AS "running_status!: Vec<String>",
       coalesce(s.finished_at, '{}') AS "settled_finished_at!: Vec<i64>",
       coalesce(s.recorded_at, '{}') AS "settled_recorded_at!: Vec<Option<i64>>",
       coalesce(s.execution_us, '{}') AS "settled_execution_us!: Vec<Option<i64>>",
       coalesce(s.status, '{}') AS "settled_status!: Vec<Option<String>>"
FROM (SELECT array_agg(recorded_at) AS recorded_at, array_agg(execution_us) AS execution_us, array_agg(status) AS status
      FROM (SELECT a.recorded_at, a.execution_us, a.status
            FROM (SELECT id
                  FROM tasks
                  WHERE state IN ('pending', 'in_progress', 'error') AND finished_at IS NULL
                    AND ($2::text IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = $2))
                  ORDER BY id DESC) AS t
            CROSS JOIN LATERAL (SELECT recorded_at, execution_us, status
                                FROM attempts
                                WHERE step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND recorded_at + 0 >= $1
                                OFFSET 0) AS a
            ORDER BY t.id DESC
            LIMIT $3) AS line) AS r,
     (SELECT array_agg(finished_at) AS finished_at, array_agg(recorded_at) AS recorded_at, array_agg(execution_us) AS execution_us,
             array_agg(status) AS status
      FROM (SELECT t.finished_at, a.recorded_at, a.execution_us, a.status
            FROM (SELECT id, finished_at
                  FROM tasks
                  WHERE finished_at >= $1
                    AND ($2::text IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = $2))
                  ORDER BY finished_at DESC
                  LIMIT $3) AS t
            LEFT JOIN LATERAL (SELECT recorded_at, execution_us, status
                               FROM attempts
                               WHERE step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND recorded_at + 0 >= $1
                               OFFSET 0) AS a ON true
            ORDER BY t.finished_at DESC
            LIMIT $3) AS line) AS s
