-- The oldest come first, and the last row stays: numbers go on from it.
DELETE FROM events
WHERE id IN (SELECT e.id FROM (SELECT id, at FROM events WHERE id > 0 ORDER BY id LIMIT ?2) AS e
             WHERE e.at < ?1 AND e.id < (SELECT max(id) FROM events))
