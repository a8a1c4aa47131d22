-- Who is told of events by a request. A secret is kept as it is: whoever signs needs it. One process at a time speaks for each, until
-- its hold ends.
CREATE TABLE webhooks (
    name text PRIMARY KEY,
    url text NOT NULL,
    secret text NOT NULL,
    -- Which events, as JSON.
    filter text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    -- Everything up to here was taken, or was not wanted.
    position text NOT NULL,
    holder text,
    held_until bigint,
    delivered bigint NOT NULL DEFAULT 0,
    delivered_at bigint,
    -- Since the last success.
    failures bigint NOT NULL DEFAULT 0,
    failed_at bigint,
    failure text
);
