DELETE FROM attempts AS a USING unnest($1::bigint[]) AS j (id) WHERE a.step_id BETWEEN j.id << 16 AND (j.id << 16) | 65535
