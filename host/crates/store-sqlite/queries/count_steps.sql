SELECT t.id AS "id!: i64", t.state AS "state!: String",
       sum(s.state = 'pending') AS "pending!: i64",
       sum(s.state IN ('ready', 'leased', 'in_progress')) AS "active!: i64",
       sum(s.state = 'error') AS "error!: i64",
       sum(s.state IN ('complete', 'skipped', 'resolved_manually')) AS "finished_well!: i64"
FROM json_each(?1) AS j
CROSS JOIN tasks AS t ON t.id = j.value
CROSS JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
WHERE t.state NOT IN ('complete', 'cancelled', 'resolved_manually')
GROUP BY t.id
