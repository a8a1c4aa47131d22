DELETE FROM notes AS n USING unnest($1::bigint[]) AS j (id) WHERE n.id = j.id
