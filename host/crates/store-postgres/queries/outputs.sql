SELECT s.id AS "id!", coalesce(s.output, a.output, 'null') AS "output!"
FROM unnest($1::bigint[]) AS j (id)
JOIN steps AS s ON s.id = j.id
LEFT JOIN attempts AS a ON a.step_id = s.id AND a.attempt = s.attempt AND s.state = 'complete'
