-- What a task is, where its steps stand, and the ledger of every attempt.
-- Times are milliseconds since 1970-01-01T00:00:00Z. Digests are 32 bytes. JSON is kept as text, exactly as it came.

CREATE TABLE plugins (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    description TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE templates (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    UNIQUE (namespace, name, version)
) STRICT;

CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id INTEGER NOT NULL REFERENCES plans (id),
    namespace TEXT NOT NULL,
    template TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually')),
    priority INTEGER NOT NULL,
    idempotency_key TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    CHECK ((finished_at IS NULL) = (state IN ('pending', 'in_progress'))),
    CHECK (started_at IS NOT NULL OR state <> 'in_progress')
) STRICT;

CREATE UNIQUE INDEX tasks_idempotency ON tasks (namespace, template, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the audit walks along.
CREATE INDEX tasks_unfinished ON tasks (id) WHERE state IN ('pending', 'in_progress', 'error');

-- Apart from the task, whose row is rewritten with every change of state.
CREATE TABLE task_inputs (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id),
    context TEXT NOT NULL,
    tags TEXT NOT NULL
) STRICT;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    incarnation TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    -- The orchestrator that it is connected to, or was last: only that one speaks for it.
    orchestrator TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('joined', 'left', 'lost')),
    lease_until INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;

CREATE INDEX workers_joined ON workers (lease_until) WHERE state = 'joined';

CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id INTEGER NOT NULL REFERENCES workers (id),
    created_at INTEGER NOT NULL,
    closed_at INTEGER,
    ended TEXT CHECK (ended IN ('reconciled', 'discrepancy', 'lost')),
    -- [[step, attempt], …]
    steps TEXT NOT NULL,
    CHECK ((closed_at IS NULL) = (ended IS NULL))
) STRICT;

CREATE INDEX batches_open ON batches (worker_id) WHERE ended IS NULL;

-- A step's id is its task's id times 65536 plus its position in the plan.
CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    plan_id INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'ready', 'leased', 'in_progress', 'complete', 'error',
                         'resolved_manually', 'skipped', 'cancelled')),
    pending_parents INTEGER NOT NULL CHECK (pending_parents >= 0),
    attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    losses INTEGER NOT NULL DEFAULT 0 CHECK (losses >= 0),
    priority INTEGER NOT NULL,
    -- Not before this moment; NULL means at once.
    ready_at INTEGER,
    -- The batch of the last attempt. A cancelled step keeps it until its worker was told to stop.
    batch_id INTEGER REFERENCES batches (id),
    progress REAL,
    note TEXT,
    output TEXT,
    CHECK (state <> 'pending' OR pending_parents > 0),
    CHECK (state NOT IN ('ready', 'leased', 'in_progress', 'complete') OR pending_parents = 0),
    CHECK (state NOT IN ('leased', 'in_progress', 'complete') OR (batch_id IS NOT NULL AND attempt > 0)),
    CHECK (ready_at IS NULL OR state = 'ready'),
    CHECK (state <> 'complete' OR output IS NOT NULL)
) STRICT;

CREATE INDEX steps_claimable ON steps (priority DESC, id) WHERE state = 'ready' AND ready_at IS NULL;
CREATE INDEX steps_waiting ON steps (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX steps_to_stop ON steps (id) WHERE state = 'cancelled' AND batch_id IS NOT NULL;

-- The ledger: a line for every attempt that ended. The key makes a second line for an attempt impossible.
CREATE TABLE attempts (
    step_id INTEGER NOT NULL REFERENCES steps (id),
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    status TEXT NOT NULL CHECK (status IN ('completed', 'failed', 'lost')),
    failure TEXT,
    digest BLOB CHECK (length(digest) = 32),
    started_at INTEGER,
    recorded_at INTEGER NOT NULL,
    execution_us INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    memory_bytes_peak INTEGER NOT NULL,
    log TEXT,
    PRIMARY KEY (step_id, attempt),
    CHECK ((failure IS NULL) = (status = 'completed'))
) STRICT, WITHOUT ROWID;

-- Lines that are no attempts. No foreign keys: a worker may report on what never was, and that is what the note says.
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    task_id INTEGER,
    step_id INTEGER,
    batch_id INTEGER,
    attempt INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('late', 'duplicate', 'discrepancy', 'lease_lost', 'operator', 'repaired')),
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX notes_task ON notes (task_id) WHERE task_id IS NOT NULL;
