-- Which orchestrators there are, one row for each pump. Nothing rests on it: it only tells workers where else they could go.
-- A place is where one is reached, so that a restarted one takes its row over; one that nobody can reach has itself for a place.

CREATE TABLE orchestrators (
    place text PRIMARY KEY,
    incarnation text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    pump bigint NOT NULL CHECK (pump BETWEEN 1 AND pumps),
    pumps bigint NOT NULL,
    -- ["ipc://machine/run/orchestrator.sock", …]
    endpoints text NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL
) WITH (fillfactor = 50);
