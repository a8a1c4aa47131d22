SELECT w.id AS "id!: i64", w.name AS "name!: String", w.incarnation AS "incarnation!: String", w.host AS "host!: String",
       w.pid AS "pid!: i64", w.slots AS "slots!: i64", w.state AS "state!: String", w.joined_at AS "joined_at!: i64",
       w.seen_at AS "seen_at!: i64",
       (SELECT count(*)
        FROM batches AS b, json_each(b.steps) AS j
        JOIN steps AS s ON s.id = j.value ->> 0
        WHERE b.worker_id = w.id AND b.ended IS NULL AND s.batch_id = b.id AND s.attempt = j.value ->> 1
          AND s.state IN ('leased', 'in_progress')) AS "steps_held!: i64"
FROM workers AS w
WHERE ?2 IS NULL OR w.state = ?2
ORDER BY w.id DESC
LIMIT ?1
