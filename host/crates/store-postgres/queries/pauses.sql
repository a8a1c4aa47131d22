SELECT scope AS "scope!", name AS "name!", since AS "since!", who AS "who!", why AS "why!"
FROM pauses
ORDER BY since, scope, name
