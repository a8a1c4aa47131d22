DELETE FROM pauses
WHERE scope = 'task'
  AND EXISTS (SELECT 1 FROM tasks AS t
              WHERE t.id = CAST(pauses.name AS INTEGER) AND t.state IN ('complete', 'cancelled', 'resolved_manually'))
