UPDATE steps SET parked = ?2 WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'ready'
