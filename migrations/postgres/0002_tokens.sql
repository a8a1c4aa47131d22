-- Who may come in from outside. Of a secret only its SHA-256 is kept: it has 256 random bits, so nothing could be tried out.
-- A name has several tokens that are valid while one of them replaces the others.

CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The worker or the pool that has it.
    name text NOT NULL,
    -- 'worker' passes the gate; the others are for what answers over HTTP.
    scope text NOT NULL CHECK (scope IN ('worker', 'read', 'run', 'operate', 'admin')),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    -- When it last let somebody in; written now and then.
    used_at bigint,
    -- Valid before this moment; NULL means for ever.
    expires_at bigint,
    revoked_at bigint
);

CREATE INDEX tokens_standing ON tokens (scope, name) WHERE revoked_at IS NULL;
