-- Which orchestrators there are, one row for each pump. Nothing rests on it: it only tells workers where else they could go.
-- A place is where one is reached, so that a restarted one takes its row over; one that nobody can reach has itself for a place.

CREATE TABLE orchestrators (
    place TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pump INTEGER NOT NULL CHECK (pump BETWEEN 1 AND pumps),
    pumps INTEGER NOT NULL,
    -- ["ipc://machine/run/orchestrator.sock", …]
    endpoints TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
