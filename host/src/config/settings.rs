//! Every setting there is: its key, what kind of value it takes, its default, and what it is for.

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A path.
    Path,
    /// Which lines of the log are written.
    Filter,
    /// An address that may hold a password, which is never shown.
    Url,
    /// An address of a place for plugins; its password is never shown either.
    Place,
    /// A duration such as `250ms` or `5s`.
    Duration,
    /// A size such as `64MiB`.
    Size,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// One setting. An empty default means that there is none, or that it is computed; the text says what then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { key, kind, default, help }
}

const COUNT: Kind = Kind::Number(1, 1_000_000);

/// In the order in which they are shown, by section.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("data_dir", Kind::Path, "stepwright-data", "Where the database and the plugins are."),
    setting(
        "run_dir",
        Kind::Path,
        "",
        "Where the sockets are; made with mode 0700. Default: 'run' in the data directory.",
    ),
    setting("environment", Kind::Text, "development", "Which template overrides apply."),
    setting("threads", Kind::Number(0, 1_024), "0", "Threads that run tasks; 0 means one for each CPU."),
    setting("store.path", Kind::Path, "", "The SQLite file. Default: 'stepwright.db' in the data directory."),
    setting(
        "store.url",
        Kind::Url,
        "",
        "A PostgreSQL database instead, as postgres://user:password@host:5432/database. Default: the SQLite file.",
    ),
    setting(
        "log.level",
        Kind::Filter,
        "info",
        "error, warn, info, debug, trace, or a filter such as 'info,stepwright_worker=debug'.",
    ),
    setting(
        "log.format",
        Kind::OneOf(&["auto", "human", "json"]),
        "auto",
        "Lines, JSON, or lines on a terminal and JSON elsewhere.",
    ),
    setting(
        "registry.url",
        Kind::Place,
        "",
        "Where registered plugins are kept, as file:///directory, s3://bucket/prefix, gs://…, az://… or https://…. Default: 'plugins' in the data directory.",
    ),
    setting(
        "registry.oci_insecure_hosts",
        Kind::Text,
        "",
        "OCI registries to speak plain HTTP with, as host:port, separated by commas; with this machine's own it is spoken anyway.",
    ),
    setting("orchestrator.heartbeat", Kind::Duration, "1s", "How often workers send a sign of life."),
    setting(
        "orchestrator.lease",
        Kind::Duration,
        "5s",
        "How long a silent worker keeps its steps. Several heartbeats.",
    ),
    setting(
        "orchestrator.reconnect_grace",
        Kind::Duration,
        "2s",
        "How long a worker whose connection broke keeps its steps.",
    ),
    setting(
        "orchestrator.tick",
        Kind::Duration,
        "1s",
        "How often the database is looked at for what nobody told.",
    ),
    setting(
        "orchestrator.audit",
        Kind::Duration,
        "10s",
        "How often some unfinished tasks are audited, and put right where a crash left them stuck.",
    ),
    setting(
        "orchestrator.quarantine_losses",
        Kind::Number(0, 1_000),
        "3",
        "Workers lost in a row while they held a plugin, none of whose steps completed, before it is paused; 0: never.",
    ),
    setting(
        "orchestrator.pumps",
        Kind::Number(1, 64),
        "1",
        "Pumps in one process, each with a connection and a socket of its own. Only PostgreSQL takes more than one.",
    ),
    setting(
        "orchestrator.advertise",
        Kind::Text,
        "",
        "Where workers of other machines reach the gate, as host:port or tls://host:port. Default: where it listens, unless that is 0.0.0.0.",
    ),
    setting("orchestrator.batch_steps_max", Kind::Number(1, 10_000), "64", "Steps in one batch."),
    setting("orchestrator.batch_bytes_max", Kind::Size, "1MiB", "Payload bytes in one batch."),
    setting("orchestrator.claim_steps_max", COUNT, "512", "Steps claimed in one transaction."),
    setting("orchestrator.outcomes_max", COUNT, "1024", "Outcomes applied in one transaction."),
    setting(
        "retention.complete",
        Kind::Duration,
        "",
        "How long complete tasks are kept after they ended, such as 30d. Default: for ever.",
    ),
    setting("retention.cancelled", Kind::Duration, "", "The same for cancelled tasks. Default: for ever."),
    setting(
        "retention.resolved_manually",
        Kind::Duration,
        "",
        "The same for tasks that an operator declared done. Default: for ever.",
    ),
    setting(
        "retention.error",
        Kind::Duration,
        "",
        "The same for tasks in error, which could still be retried. Default: for ever.",
    ),
    setting("retention.events", Kind::Duration, "7d", "How long events are kept."),
    setting(
        "retention.archive_dir",
        Kind::Path,
        "",
        "Where tasks are written before they are removed, a file of JSON lines for each day. Default: nowhere.",
    ),
    setting(
        "retention.steps_max",
        COUNT,
        "1000",
        "Steps removed in one transaction; one task may have more.",
    ),
    setting("retention.pause", Kind::Duration, "100ms", "Between two such transactions."),
    setting(
        "retention.interval",
        Kind::Duration,
        "1m",
        "How often old tasks are looked for when there were none.",
    ),
    setting(
        "wire.message_bytes_max",
        Kind::Size,
        "8MiB",
        "The largest message. The same for orchestrator and workers.",
    ),
    setting("wire.payload_bytes_max", Kind::Size, "1MiB", "The largest context, configuration or output."),
    setting(
        "gate.listen",
        Kind::Text,
        "",
        "Where workers of other machines are let in, as address:port. Default: nowhere.",
    ),
    setting(
        "gate.tls_certificate",
        Kind::Path,
        "",
        "The gate's certificate and those between it and its root, in PEM. Default: no TLS.",
    ),
    setting("gate.tls_key", Kind::Path, "", "The private key of the gate's certificate, in PEM."),
    setting(
        "gate.tls_client_ca",
        Kind::Path,
        "",
        "Clients must show a certificate that one of these signed, in PEM. Default: a token is enough.",
    ),
    setting(
        "gate.allow_plaintext",
        Kind::Flag,
        "false",
        "Whether to listen beyond the loopback without TLS. Whoever reads along has the tokens then.",
    ),
    setting(
        "gate.connections_max",
        Kind::Number(1, 100_000),
        "1024",
        "Connections through the gate at once.",
    ),
    setting(
        "api.listen",
        Kind::Text,
        "",
        "Where the HTTP API is served, as address:port; port 0 takes a free one, 'off' is nowhere. Default: 127.0.0.1:7780 in dev, nowhere in orchestrate.",
    ),
    setting(
        "api.tls_certificate",
        Kind::Path,
        "",
        "The API's certificate and those between it and its root, in PEM. Default: no TLS.",
    ),
    setting("api.tls_key", Kind::Path, "", "The private key of the API's certificate, in PEM."),
    setting(
        "api.allow_plaintext",
        Kind::Flag,
        "false",
        "Whether to serve the API beyond the loopback without TLS. Whoever reads along has the tokens then.",
    ),
    setting("api.connections_max", Kind::Number(1, 100_000), "1024", "Connections to the API at once."),
    setting(
        "api.requests_per_second",
        COUNT,
        "1000",
        "Requests a second of one token; as many may come at once.",
    ),
    setting("api.body_bytes_max", Kind::Size, "4MiB", "The largest body of a request."),
    setting("api.bulk_bytes_max", Kind::Size, "16MiB", "The largest body that starts many tasks."),
    setting(
        "api.waits_max",
        COUNT,
        "1024",
        "Requests that wait for a task, and streams of events, all together.",
    ),
    setting("api.waits_per_token_max", COUNT, "64", "The same of one token."),
    setting(
        "api.header_timeout",
        Kind::Duration,
        "10s",
        "How long a connection may take to send the head of its next request.",
    ),
    setting("api.body_timeout", Kind::Duration, "30s", "How long the body of a request may take to arrive."),
    setting(
        "webhooks.networks",
        Kind::Text,
        "",
        "Private networks that webhooks may lead to, separated by commas, such as 10.1.0.0/16; also without TLS. Default: none.",
    ),
    setting("worker.name", Kind::Text, "", "The worker's name, for people. Default: the machine's name."),
    setting("worker.slots", Kind::Number(0, 4_096), "0", "Steps that run at once; 0 means one for each CPU."),
    setting(
        "worker.credit",
        Kind::Number(0, 1_000_000),
        "0",
        "Steps held, running ones included; 0 means 32 for each slot, at least 64.",
    ),
    setting("worker.credit_bytes", Kind::Size, "64MiB", "Payload bytes held."),
    setting("worker.drain", Kind::Duration, "20s", "How long steps may go on after SIGTERM."),
    setting(
        "worker.components_bytes_max",
        Kind::Size,
        "1GiB",
        "Fetched components kept on disk; the least recently loaded goes first.",
    ),
    setting(
        "worker.orchestrators",
        Kind::Text,
        "",
        "Orchestrators to work for, separated by commas: gates as tls://host:port or tcp://host:port, sockets as paths. Default: the run directory's socket.",
    ),
    setting(
        "worker.discover",
        Kind::Flag,
        "true",
        "Also work for the orchestrators that those ones tell of.",
    ),
    setting(
        "worker.token_file",
        Kind::Path,
        "",
        "The secret for the gates, mode 0600, read for each connection. Default: 'worker.token' in the data directory.",
    ),
    setting(
        "worker.tls_ca",
        Kind::Path,
        "",
        "The certificates that may have signed a gate's, in PEM. Needed for tls:// gates.",
    ),
    setting(
        "worker.tls_certificate",
        Kind::Path,
        "",
        "A certificate to show to gates that ask for one, in PEM.",
    ),
    setting("worker.tls_key", Kind::Path, "", "The private key of the worker's certificate, in PEM."),
    setting(
        "sandbox.memory",
        Kind::Size,
        "64MiB",
        "Linear memory of one step, unless its template says otherwise.",
    ),
    setting("sandbox.memory_ceiling", Kind::Size, "256MiB", "The most memory that a template may ask for."),
    setting(
        "sandbox.cpu",
        Kind::Duration,
        "10s",
        "CPU time of one step, unless its template says otherwise.",
    ),
    setting(
        "sandbox.output",
        Kind::Size,
        "1MiB",
        "The output of one step, unless its template says otherwise.",
    ),
    setting(
        "sandbox.log_bytes_max",
        Kind::Size,
        "64KiB",
        "Bytes kept of a step's log, and again of what it prints.",
    ),
    setting("sandbox.log_lines_max", COUNT, "1000", "Lines kept of a step's log."),
    setting(
        "sandbox.host_call_bytes_max",
        Kind::Size,
        "64MiB",
        "Bytes that a step's calls to the host may hand over together.",
    ),
    setting("sandbox.host_calls_max", COUNT, "1000000", "Calls to the host that a step may make."),
    setting(
        "sandbox.file_bytes_max",
        Kind::Size,
        "64MiB",
        "Bytes that a step may write into granted directories, all together.",
    ),
    setting(
        "sandbox.http_connect",
        Kind::Duration,
        "5s",
        "The longest that a step's request may take to reach its host, TLS included.",
    ),
    setting("sandbox.http_first_byte", Kind::Duration, "15s", "The longest wait for the head of a response."),
    setting("sandbox.http_between_bytes", Kind::Duration, "15s", "The longest pause within a response."),
    setting("sandbox.http_bytes_in_max", Kind::Size, "8MiB", "Bytes of all responses of one step."),
    setting("sandbox.http_bytes_out_max", Kind::Size, "8MiB", "Bytes of all request bodies of one step."),
    setting("sandbox.http_calls_max", COUNT, "100", "HTTP requests of one step."),
    setting("sandbox.http_connections_max", COUNT, "8", "HTTP requests of one step at the same time."),
    setting(
        "sandbox.http_connections_process_max",
        COUNT,
        "256",
        "HTTP requests of all steps of a process at the same time.",
    ),
    setting(
        "sandbox.http_certificates",
        Kind::Path,
        "",
        "Certificates in PEM of authorities that steps' requests trust beside the public ones.",
    ),
    setting("sandbox.component_bytes_max", Kind::Size, "32MiB", "The largest component that is compiled."),
    setting(
        "sandbox.compile_time",
        Kind::Duration,
        "60s",
        "CPU time of compiling one component, in whole seconds; by the clock ten times as much and a minute.",
    ),
    setting("sandbox.compile_memory", Kind::Size, "2GiB", "Address space of compiling one component."),
    setting(
        "sandbox.compiled_bytes_max",
        Kind::Size,
        "1GiB",
        "Compiled code kept on disk; the oldest goes first.",
    ),
    setting(
        "sandbox.observe",
        Kind::Flag,
        "false",
        "Whether plugins may call every public host, and what they ask for is noted for 'grants suggest'.",
    ),
];

/// The setting with this key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The variable that sets it.
pub(crate) fn variable(setting: &Setting) -> String {
    format!("STEPWRIGHT_{}", setting.key.replace('.', "_").to_uppercase())
}
