SELECT q.claimable AS "claimable!", q.in_backoff AS "in_backoff!", q.delayed AS "delayed!", q.parked AS "parked!",
       (SELECT count(*) FROM workers WHERE state = 'joined') AS "workers!",
       (SELECT coalesce(sum(slots), 0)::bigint FROM workers WHERE state = 'joined') AS "slots!",
       (SELECT count(*) FROM orchestrators WHERE seen_at >= $2) AS "orchestrators!",
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS "server_open?",
       current_setting('max_connections')::bigint AS "server_max?"
FROM (SELECT count(*) FILTER (WHERE NOT r.parked AND coalesce(r.ready_at <= $1, true)) AS claimable,
             count(*) FILTER (WHERE NOT r.parked AND r.ready_at > $1 AND s.attempt > 0) AS in_backoff,
             count(*) FILTER (WHERE NOT r.parked AND r.ready_at > $1 AND s.attempt = 0) AS delayed,
             count(*) FILTER (WHERE r.parked) AS parked
      FROM ready AS r
      JOIN steps AS s ON s.id = r.step_id) AS q
