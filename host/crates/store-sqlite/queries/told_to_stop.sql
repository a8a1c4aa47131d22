UPDATE steps SET batch_id = NULL WHERE state = 'cancelled' AND id IN (SELECT value FROM json_each(?1))
