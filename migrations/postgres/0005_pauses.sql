-- Marks under which nothing is claimed, and the components that may be killing workers.

CREATE TABLE pauses (
    scope text NOT NULL CHECK (scope IN ('task', 'template', 'namespace', 'plugin', 'digest')),
    name text NOT NULL,
    since bigint NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (scope, name)
);

-- Held by workers when they were lost, so many times in a row, and nothing of it has completed since.
CREATE TABLE suspects (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    losses integer NOT NULL CHECK (losses > 0),
    last_at bigint NOT NULL
);

-- Set aside while a pause covers the step: not claimable, and in nobody's way. Found out by the claim that meets it first.
ALTER TABLE ready ADD COLUMN parked boolean NOT NULL DEFAULT false;

DROP INDEX ready_claimable;
CREATE INDEX ready_claimable ON ready (priority DESC, step_id) WHERE ready_at IS NULL AND NOT parked;
CREATE INDEX ready_parked ON ready (step_id) WHERE parked;
