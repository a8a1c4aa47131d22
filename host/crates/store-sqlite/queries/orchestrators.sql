SELECT o.incarnation AS "incarnation!: String", o.host AS "host!: String", o.pid AS "pid!: i64", o.pump AS "pump!: i64",
       o.pumps AS "pumps!: i64", o.endpoints AS "endpoints!: String", o.started_at AS "started_at!: i64", o.seen_at AS "seen_at!: i64",
       o.totals AS "totals!: String",
       (SELECT count(*) FROM workers AS w WHERE w.state = 'joined' AND w.orchestrator = o.incarnation) AS "workers!: i64"
FROM orchestrators AS o
ORDER BY o.started_at, o.pump, o.incarnation
