UPDATE batches
SET ended = j.value ->> 1, closed_at = ?2, completed_at = j.value ->> 2, asked_again = j.value ->> 3
FROM json_each(?1) AS j
WHERE batches.id = j.value ->> 0 AND batches.ended IS NULL
RETURNING id AS "id!: i64"
