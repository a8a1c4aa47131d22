-- Those that may still go, kept from everybody else. A task that somebody works on is passed over, and one whose batch is open.
SELECT t.id AS "id!"
FROM unnest($1::bigint[]) AS j (id)
JOIN tasks AS t ON t.id = j.id
JOIN unnest($2::text[], $3::bigint[]) AS k (state, before) ON k.state = t.state
WHERE t.finished_at < k.before
  AND NOT EXISTS (SELECT
                  FROM steps AS s
                  JOIN batches AS b ON b.id = s.batch_id
                  WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND b.ended IS NULL)
ORDER BY t.id
FOR UPDATE OF t SKIP LOCKED
