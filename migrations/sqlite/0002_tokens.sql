-- Who may come in from outside. Of a secret only its SHA-256 is kept: it has 256 random bits, so nothing could be tried out.
-- A name has several tokens that are valid while one of them replaces the others.

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The worker or the pool that has it.
    name TEXT NOT NULL,
    -- 'worker' passes the gate; the others are for what answers over HTTP.
    scope TEXT NOT NULL CHECK (scope IN ('worker', 'read', 'run', 'operate', 'admin')),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    -- When it last let somebody in; written now and then.
    used_at INTEGER,
    -- Valid before this moment; NULL means for ever.
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX tokens_standing ON tokens (scope, name) WHERE revoked_at IS NULL;
