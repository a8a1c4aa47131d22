SELECT t.id AS "id!", t.state AS "state!",
       count(*) FILTER (WHERE s.state = 'pending') AS "pending!",
       count(*) FILTER (WHERE s.state IN ('ready', 'leased', 'in_progress')) AS "active!",
       count(*) FILTER (WHERE s.state = 'error') AS "error!",
       count(*) FILTER (WHERE s.state IN ('complete', 'skipped', 'resolved_manually')) AS "finished_well!"
FROM unnest($1::bigint[]) AS j (id)
JOIN tasks AS t ON t.id = j.id
JOIN steps AS s ON s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535
WHERE t.state NOT IN ('complete', 'cancelled', 'resolved_manually')
GROUP BY t.id
