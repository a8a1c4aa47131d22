SELECT j.place AS "place!", t.id AS "id!"
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS j (namespace, template, idempotency_key, place)
JOIN tasks AS t ON t.namespace = j.namespace AND t.template = j.template AND t.idempotency_key = j.idempotency_key
WHERE t.idempotency_key IS NOT NULL
