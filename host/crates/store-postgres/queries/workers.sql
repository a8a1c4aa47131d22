SELECT w.id AS "id!", w.name AS "name!", w.incarnation AS "incarnation!", w.host AS "host!", w.pid AS "pid!", w.slots AS "slots!",
       w.state AS "state!", w.joined_at AS "joined_at!", w.seen_at AS "seen_at!",
       (SELECT count(*)
        FROM batches AS b
        CROSS JOIN LATERAL jsonb_array_elements(b.steps::jsonb) AS j (pair)
        JOIN steps AS s ON s.id = (j.pair ->> 0)::bigint
        WHERE b.worker_id = w.id AND b.ended IS NULL AND s.batch_id = b.id AND s.attempt = (j.pair ->> 1)::integer
          AND s.state IN ('leased', 'in_progress')) AS "steps_held!"
FROM workers AS w
WHERE $2::text IS NULL OR w.state = $2
ORDER BY w.id DESC
LIMIT $1
