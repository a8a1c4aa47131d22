SELECT t.id AS "id!: i64", t.plan_id AS "plan_id!: i64", t.namespace AS "namespace!: String", t.template AS "template!: String",
       p.version AS "version!: String", t.state AS "state!: String", t.priority AS "priority!: i64",
       t.idempotency_key AS "idempotency_key?: String", t.created_at AS "created_at!: i64",
       t.started_at AS "started_at?: i64", t.finished_at AS "finished_at?: i64",
       (SELECT count(*) FROM steps AS s WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535) AS "steps!: i64",
       (SELECT count(*) FROM steps AS s WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
          AND s.state IN ('complete', 'skipped', 'resolved_manually')) AS "steps_finished!: i64",
       (SELECT count(*) FROM steps AS s WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
          AND s.state = 'error') AS "steps_in_error!: i64"
FROM tasks AS t
JOIN plans AS p ON p.id = t.plan_id
WHERE t.id BETWEEN ?1 AND ?2
  AND (?3 IS NULL OR t.state IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR t.namespace = ?4)
  AND (?5 IS NULL OR t.template = ?5)
ORDER BY t.id DESC
LIMIT ?6
