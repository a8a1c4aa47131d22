SELECT u.active AS "active!", u.in_error AS "in_error!", u.created + s.created AS "created!", s.completed AS "completed!",
       s.failed AS "failed!", s.cancelled AS "cancelled!", s.settled - s.completed - s.failed - s.cancelled AS "resolved_manually!",
       EXISTS (SELECT FROM ready WHERE ready_at IS NULL AND NOT parked)
       OR EXISTS (SELECT FROM ready WHERE ready_at <= $3 AND NOT parked) AS "claimable!",
       (SELECT count(*) FROM workers WHERE state = 'joined') AS "workers!"
FROM (SELECT count(*) FILTER (WHERE finished_at IS NULL) AS active, count(*) FILTER (WHERE finished_at IS NOT NULL) AS in_error,
             count(*) FILTER (WHERE finished_at IS NULL AND created_at >= $1) AS created
      FROM tasks
      WHERE state IN ('pending', 'in_progress', 'error')
        AND ($2::text IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = $2))) AS u,
     (SELECT count(*) AS settled, count(*) FILTER (WHERE created_at >= $1) AS created,
             count(*) FILTER (WHERE state = 'complete') AS completed, count(*) FILTER (WHERE state = 'error') AS failed,
             count(*) FILTER (WHERE state = 'cancelled') AS cancelled
      FROM tasks
      WHERE finished_at >= $1
        AND ($2::text IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = $2))) AS s
