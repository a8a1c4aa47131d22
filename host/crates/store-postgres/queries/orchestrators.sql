SELECT o.incarnation AS "incarnation!", o.host AS "host!", o.pid AS "pid!", o.pump AS "pump!", o.pumps AS "pumps!",
       o.endpoints AS "endpoints!", o.started_at AS "started_at!", o.seen_at AS "seen_at!",
       o.totals AS "totals!",
       (SELECT count(*) FROM workers AS w WHERE w.state = 'joined' AND w.orchestrator = o.incarnation) AS "workers!"
FROM orchestrators AS o
ORDER BY o.started_at, o.pump, o.incarnation
