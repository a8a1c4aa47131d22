UPDATE batches AS b
SET ended = j.ended, closed_at = $5, completed_at = j.completed_at, asked_again = j.asked_again
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS j (id, ended, completed_at, asked_again)
WHERE b.id = j.id AND b.ended IS NULL
RETURNING b.id AS "id!"
