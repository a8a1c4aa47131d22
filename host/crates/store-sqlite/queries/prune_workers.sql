DELETE FROM workers WHERE state <> 'joined' AND seen_at < ?1 AND lease_until < ?1 AND id NOT IN (SELECT value FROM json_each(?2))
