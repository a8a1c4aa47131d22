DELETE FROM workers WHERE state <> 'joined' AND seen_at < $1 AND lease_until < $1 AND id <> ALL ($2::bigint[])
