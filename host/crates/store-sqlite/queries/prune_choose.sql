-- Those that may still go; not one whose batch is open.
SELECT t.id AS "id!: i64"
FROM json_each(?1) AS j
CROSS JOIN tasks AS t ON t.id = j.value
JOIN json_each(?2) AS k ON k.value ->> 0 = t.state
WHERE t.finished_at < k.value ->> 1
  AND NOT EXISTS (SELECT 1
                  FROM steps AS s
                  CROSS JOIN batches AS b ON b.id = s.batch_id
                  WHERE s.id BETWEEN t.id << 16 AND (t.id << 16) | 65535 AND b.ended IS NULL)
