SELECT coalesce(open.active, 0) AS "active!: i64", coalesce(open.in_error, 0) AS "in_error!: i64",
       coalesce(open.created, 0) + coalesce(settled.created, 0) AS "created!: i64", coalesce(settled.completed, 0) AS "completed!: i64",
       coalesce(settled.failed, 0) AS "failed!: i64", coalesce(settled.cancelled, 0) AS "cancelled!: i64",
       settled.count - coalesce(settled.completed + settled.failed + settled.cancelled, 0) AS "resolved_manually!: i64",
       (EXISTS (SELECT 1 FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NULL)
        OR EXISTS (SELECT 1 FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NOT NULL)
        OR EXISTS (SELECT 1 FROM steps WHERE ready_at <= ?3 AND parked = 0)) AS "claimable!: bool",
       (SELECT count(*) FROM workers WHERE state = 'joined') AS "workers!: i64"
FROM (SELECT sum(finished_at IS NULL) AS active, sum(finished_at IS NOT NULL) AS in_error,
             sum(finished_at IS NULL AND created_at >= ?1) AS created
      FROM tasks
      WHERE state IN ('pending', 'in_progress', 'error')
        AND (?2 IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = ?2))) AS open,
     (SELECT count(*) AS count, sum(created_at >= ?1) AS created, sum(state = 'complete') AS completed,
             sum(state = 'error') AS failed, sum(state = 'cancelled') AS cancelled
      FROM tasks
      WHERE finished_at >= ?1
        AND (?2 IS NULL OR plan_id IN (SELECT id FROM plans WHERE namespace = ?2))) AS settled
