SELECT append_events($1, $2, $3, $4) AS "id!"
