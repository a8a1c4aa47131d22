SELECT id AS "id!" FROM workers WHERE state = 'joined' AND lease_until <= $1 ORDER BY lease_until, id
