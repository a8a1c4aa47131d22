-- One statement, so that both are of the same moment. [[recorded_at, execution_us, status], …] of tasks that are under way, and
-- [[finished_at, recorded_at, execution_us, status], …] of those that settled; 0 is completed, 1 failed, 2 lost.
SELECT (SELECT json_group_array(json_array(recorded_at, execution_us, status))
        FROM (SELECT a.recorded_at, a.execution_us, CASE a.status WHEN 'completed' THEN 0 WHEN 'failed' THEN 1 ELSE 2 END AS status
              FROM tasks AS t
              JOIN attempts AS a ON a.step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND a.recorded_at >= ?1
              WHERE t.state IN ('pending', 'in_progress', 'error') AND t.finished_at IS NULL
                AND (?2 IS NULL OR t.plan_id IN (SELECT id FROM plans WHERE namespace = ?2))
              ORDER BY t.id DESC
              LIMIT ?3)) AS "running!: String",
       (SELECT json_group_array(json_array(finished_at, recorded_at, execution_us, status))
        FROM (SELECT t.finished_at, a.recorded_at, a.execution_us,
                     CASE a.status WHEN 'completed' THEN 0 WHEN 'failed' THEN 1 WHEN 'lost' THEN 2 END AS status
              FROM tasks AS t
              LEFT JOIN attempts AS a ON a.step_id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND a.recorded_at >= ?1
              WHERE t.finished_at >= ?1
                AND (?2 IS NULL OR t.plan_id IN (SELECT id FROM plans WHERE namespace = ?2))
              ORDER BY t.finished_at DESC
              LIMIT ?3)) AS "settled!: String"
