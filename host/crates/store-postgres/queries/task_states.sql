SELECT t.id AS "id!", t.state AS "state!"
FROM unnest($1::bigint[]) AS j (id)
JOIN tasks AS t ON t.id = j.id
