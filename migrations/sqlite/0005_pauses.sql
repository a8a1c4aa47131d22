-- Marks under which nothing is claimed, and the components that may be killing workers.

CREATE TABLE pauses (
    scope TEXT NOT NULL CHECK (scope IN ('task', 'template', 'namespace', 'plugin', 'digest')),
    name TEXT NOT NULL,
    since INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

-- Held by workers when they were lost, so many times in a row, and nothing of it has completed since.
CREATE TABLE suspects (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    losses INTEGER NOT NULL CHECK (losses > 0),
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Set aside while a pause covers the step: not claimable, and in nobody's way. Found out by the claim that meets it first.
ALTER TABLE steps ADD COLUMN parked INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1) AND (parked = 0 OR state = 'ready'));

DROP INDEX steps_claimable;
CREATE INDEX steps_claimable ON steps (priority DESC, id) WHERE state = 'ready' AND ready_at IS NULL AND parked = 0;
CREATE INDEX steps_parked ON steps (id) WHERE parked = 1;
