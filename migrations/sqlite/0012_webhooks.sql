-- Who is told of events by a request. A secret is kept as it is: whoever signs needs it. One process at a time speaks for each, until
-- its hold ends.
CREATE TABLE webhooks (
    name TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    -- Which events, as JSON.
    filter TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    -- Everything up to here was taken, or was not wanted.
    position TEXT NOT NULL,
    holder TEXT,
    held_until INTEGER,
    delivered INTEGER NOT NULL DEFAULT 0,
    delivered_at INTEGER,
    -- Since the last success.
    failures INTEGER NOT NULL DEFAULT 0,
    failed_at INTEGER,
    failure TEXT
) STRICT;
