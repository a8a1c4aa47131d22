-- What a task is, where its steps stand, and the ledger of every attempt.
-- Times are milliseconds since 1970-01-01T00:00:00Z. Digests are 32 bytes. JSON is kept as text, exactly as it came.
--
-- Hot and cold are apart. `steps` is narrow and no index but its key names a column that changes, so that its updates stay on
-- their page (heap-only); what waits to be claimed stands in `ready`, which is as small as the work that waits; outputs, logs
-- and failures are written once, to `attempts`. A million finished tasks are behind the running ones and in nobody's way.
--
-- No foreign keys between the hot tables: each would read and lock a row per row written, and the only writers are the
-- statements of one crate, which write both sides in one statement.

CREATE TABLE plugins (
    name text NOT NULL,
    version text NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    bytes bigint NOT NULL CHECK (bytes >= 0),
    description text NOT NULL,
    registered_at bigint NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE templates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    source text NOT NULL,
    registered_at bigint NOT NULL,
    UNIQUE (namespace, name, version)
);

CREATE TABLE plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    namespace text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    content text NOT NULL
);

CREATE SEQUENCE task_ids;

CREATE TABLE tasks (
    id bigint PRIMARY KEY,
    plan_id bigint NOT NULL REFERENCES plans (id),
    namespace text NOT NULL,
    template text NOT NULL,
    state text NOT NULL
        CHECK (state IN ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually')),
    priority integer NOT NULL,
    idempotency_key text,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    CHECK ((finished_at IS NULL) = (state IN ('pending', 'in_progress'))),
    CHECK (started_at IS NOT NULL OR state <> 'in_progress')
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX tasks_idempotency ON tasks (namespace, template, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the audit walks along.
CREATE INDEX tasks_unfinished ON tasks (id) WHERE state IN ('pending', 'in_progress', 'error');

-- Apart from the task, whose row is rewritten with every change of state.
CREATE TABLE task_inputs (
    task_id bigint PRIMARY KEY,
    context text NOT NULL,
    tags text NOT NULL
);

CREATE TABLE workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    incarnation text NOT NULL UNIQUE,
    host text NOT NULL,
    pid bigint NOT NULL,
    slots bigint NOT NULL,
    -- The orchestrator that it is connected to, or was last: only that one speaks for it.
    orchestrator text NOT NULL,
    state text NOT NULL CHECK (state IN ('joined', 'left', 'lost')),
    lease_until bigint NOT NULL,
    joined_at bigint NOT NULL,
    seen_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX workers_joined ON workers (id) WHERE state = 'joined';

CREATE SEQUENCE batch_ids;

CREATE TABLE batches (
    id bigint PRIMARY KEY,
    worker_id bigint NOT NULL,
    created_at bigint NOT NULL,
    closed_at bigint,
    ended text CHECK (ended IN ('reconciled', 'discrepancy', 'lost')),
    -- [[step, attempt], …]
    steps text NOT NULL,
    CHECK ((closed_at IS NULL) = (ended IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX batches_open ON batches (worker_id) WHERE ended IS NULL;

-- A step's id is its task's id times 65536 plus its position in the plan.
CREATE TABLE steps (
    id bigint PRIMARY KEY,
    plan_id bigint NOT NULL,
    -- The batch of the last attempt.
    batch_id bigint,
    pending_parents integer NOT NULL CHECK (pending_parents >= 0),
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    losses integer NOT NULL DEFAULT 0 CHECK (losses >= 0),
    priority integer NOT NULL,
    progress double precision,
    state text NOT NULL
        CHECK (state IN ('pending', 'ready', 'leased', 'in_progress', 'complete', 'error',
                         'resolved_manually', 'skipped', 'cancelled')),
    note text,
    -- What an operator gave; a handler's output stands with its attempt.
    output text,
    CHECK (state <> 'pending' OR pending_parents > 0),
    CHECK (state NOT IN ('ready', 'leased', 'in_progress', 'complete') OR pending_parents = 0),
    CHECK (state NOT IN ('leased', 'in_progress', 'complete') OR (batch_id IS NOT NULL AND attempt > 0))
) WITH (fillfactor = 70, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- The ready queue: a row for exactly the steps whose state is 'ready'. Small and short-lived, so it is vacuumed often.
CREATE TABLE ready (
    step_id bigint PRIMARY KEY,
    priority integer NOT NULL,
    -- Not before this moment; NULL means at once.
    ready_at bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ready_claimable ON ready (priority DESC, step_id) WHERE ready_at IS NULL;
CREATE INDEX ready_waiting ON ready (ready_at) WHERE ready_at IS NOT NULL;

-- Attempts of cancelled steps whose worker was not told to stop yet.
CREATE TABLE stops (
    step_id bigint NOT NULL,
    attempt integer NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (step_id, attempt)
);

-- The ledger: a line for every attempt that ended. The key makes a second line for an attempt impossible.
CREATE TABLE attempts (
    step_id bigint NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    batch_id bigint NOT NULL,
    started_at bigint,
    recorded_at bigint NOT NULL,
    execution_us bigint NOT NULL,
    cpu_us bigint NOT NULL,
    memory_bytes_peak bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('completed', 'failed', 'lost')),
    digest bytea CHECK (length(digest) = 32),
    output text,
    failure text,
    log text,
    PRIMARY KEY (step_id, attempt),
    CHECK ((failure IS NULL) = (status = 'completed')),
    CHECK ((output IS NOT NULL) = (status = 'completed'))
);

-- Lines come in the order of time, so a few pages answer for a period.
CREATE INDEX attempts_recorded ON attempts USING brin (recorded_at) WITH (pages_per_range = 32);

-- Lines that are no attempts. No foreign keys: a worker may report on what never was, and that is what the note says.
CREATE TABLE notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    task_id bigint,
    step_id bigint,
    batch_id bigint,
    attempt bigint,
    kind text NOT NULL CHECK (kind IN ('late', 'duplicate', 'discrepancy', 'lease_lost', 'operator', 'repaired')),
    detail text NOT NULL
);

CREATE INDEX notes_task ON notes (task_id) WHERE task_id IS NOT NULL;
