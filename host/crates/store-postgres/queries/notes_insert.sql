INSERT INTO notes (at, task_id, step_id, batch_id, attempt, kind, detail)
SELECT $7, j.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) AS j
