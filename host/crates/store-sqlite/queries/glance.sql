SELECT EXISTS (SELECT 1 FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NULL) AS "claimable!: bool",
       EXISTS (SELECT 1 FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NOT NULL) AS "external!: bool",
       (SELECT min(ready_at) FROM steps WHERE ready_at IS NOT NULL) AS "next_ready_at?: i64",
       EXISTS (SELECT 1 FROM steps WHERE state = 'cancelled' AND batch_id IS NOT NULL) AS "cancelled!: bool",
       EXISTS (SELECT 1 FROM workers WHERE state = 'joined' AND lease_until <= ?1) AS "expired!: bool",
       EXISTS (SELECT 1 FROM suspects) AS "suspects!: bool",
       EXISTS (SELECT 1
               FROM pauses AS p
               JOIN tasks AS t ON t.id = CAST(p.name AS INTEGER)
               WHERE p.scope = 'task' AND t.state IN ('complete', 'cancelled', 'resolved_manually')) AS "stale_pauses!: bool"
