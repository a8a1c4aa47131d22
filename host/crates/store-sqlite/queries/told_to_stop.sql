UPDATE steps SET batch_id = NULL WHERE state = 'cancelled' AND batch_id IS NOT NULL
