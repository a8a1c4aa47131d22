INSERT INTO orchestrators (place, incarnation, host, pid, pump, pumps, endpoints, started_at, seen_at, totals)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (place) DO UPDATE
SET incarnation = excluded.incarnation, host = excluded.host, pid = excluded.pid, pump = excluded.pump, pumps = excluded.pumps,
    endpoints = excluded.endpoints, started_at = excluded.started_at, seen_at = excluded.seen_at,
    totals = excluded.totals
