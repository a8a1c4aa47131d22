DELETE FROM batches WHERE ended IS NOT NULL AND id IN (SELECT value FROM json_each(?1))
