DELETE FROM notes AS n USING unnest($1::bigint[]) AS j (id) WHERE n.task_id = j.id
