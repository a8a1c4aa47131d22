-- What every transition leaves behind for whoever follows along: one row for a transaction. Numbers are given in the order of the
-- commits, since there is one writer; the last row is never removed, so none is given twice. Rows are found by their number alone.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    -- When, in milliseconds since 1970.
    at INTEGER NOT NULL,
    -- The first and the last task that anything is about; NULL if nothing is about a task.
    first_task INTEGER,
    last_task INTEGER,
    -- A JSON list of what happened, in order.
    content TEXT NOT NULL
) STRICT;
