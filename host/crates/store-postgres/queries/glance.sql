SELECT EXISTS (SELECT FROM ready WHERE ready_at IS NULL AND NOT parked AND external IS NULL) AS "claimable!",
       EXISTS (SELECT FROM ready WHERE ready_at IS NULL AND NOT parked AND external IS NOT NULL) AS "external!",
       (SELECT min(ready_at) FROM ready WHERE ready_at IS NOT NULL) AS "next_ready_at?",
       EXISTS (SELECT FROM stops) AS "cancelled!",
       EXISTS (SELECT FROM workers WHERE state = 'joined' AND lease_until <= $1) AS "expired!",
       EXISTS (SELECT FROM suspects) AS "suspects!",
       EXISTS (SELECT
               FROM pauses AS p
               JOIN tasks AS t ON t.id = CASE WHEN p.scope = 'task' THEN p.name::bigint END
               WHERE t.state IN ('complete', 'cancelled', 'resolved_manually')) AS "stale_pauses!"
