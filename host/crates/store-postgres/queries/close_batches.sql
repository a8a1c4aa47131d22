UPDATE batches AS b
SET ended = j.ended, closed_at = $3
FROM unnest($1::bigint[], $2::text[]) AS j (id, ended)
WHERE b.id = j.id AND b.ended IS NULL
