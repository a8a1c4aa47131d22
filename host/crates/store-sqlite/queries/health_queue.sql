SELECT (SELECT count(*) FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NULL)
       + (SELECT count(*) FROM steps WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NOT NULL)
       + (SELECT count(*) FROM steps WHERE ready_at <= ?1 AND parked = 0) AS "claimable!: i64",
       (SELECT count(*) FROM steps WHERE ready_at > ?1 AND parked = 0 AND attempt > 0) AS "in_backoff!: i64",
       (SELECT count(*) FROM steps WHERE ready_at > ?1 AND parked = 0 AND attempt = 0) AS "delayed!: i64",
       (SELECT count(*) FROM steps WHERE parked = 1) AS "parked!: i64",
       (SELECT count(*) FROM workers WHERE state = 'joined') AS "workers!: i64",
       (SELECT coalesce(sum(slots), 0) FROM workers WHERE state = 'joined') AS "slots!: i64",
       (SELECT count(*) FROM orchestrators WHERE seen_at >= ?2) AS "orchestrators!: i64",
       NULL AS "server_open?: i64", NULL AS "server_max?: i64"
