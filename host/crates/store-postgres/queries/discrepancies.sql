SELECT count(*) AS "count!", max(at) AS "last_at?" FROM notes WHERE kind = 'discrepancy'
