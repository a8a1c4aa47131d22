-- Nobody takes one of them away before the transaction ends: what it sets aside is seen by whoever does so afterwards.
WITH held AS MATERIALIZED (
    SELECT scope, name, since, who, why FROM pauses ORDER BY scope, name FOR SHARE
)
SELECT scope AS "scope!", name AS "name!", since AS "since!", who AS "who!", why AS "why!"
FROM held
ORDER BY since, scope, name
