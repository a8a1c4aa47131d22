//! What an orchestrator can be told, with the reason for each default.

use std::sync::Arc;
use std::time::Duration;

use stepwright_workflow::batch::BatchLimits;

/// A source of uniform random numbers.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What an orchestrator can be told.
#[derive(Debug, Clone)]
pub struct OrchestratorOptions {
    /// Random, new at each start of the process.
    pub incarnation: String,
    /// How often workers send a heartbeat, in milliseconds. A second: cheap, and a lost batch is seen soon.
    pub heartbeat_ms: u64,
    /// How long a silent worker keeps its leases, in milliseconds. Five heartbeats.
    pub lease_ms: u64,
    /// How long a worker whose connection broke may take to come back with its outcomes, in milliseconds.
    pub reconnect_grace_ms: u64,
    /// How large a batch may be. 64 steps amortise the message; 1 MiB keeps the pipe short for the next worker.
    pub batch: BatchLimits,
    /// The largest message, in bytes.
    pub message_bytes_max: u64,
    /// The largest payload, in bytes.
    pub payload_bytes_max: u64,
    /// Steps claimed in one round: bounds how long a transaction holds the database.
    pub claim_steps_max: usize,
    /// Outcomes applied in one round, for the same reason.
    pub outcomes_max: usize,
    /// How often the pump looks for what it was not told: other processes' writes, timers, ended leases, in milliseconds.
    pub tick_ms: u64,
    /// How often some unfinished tasks are audited, in milliseconds, a quarter more or less by chance. What a crash can leave is
    /// rare, so ten seconds.
    pub audit_ms: u64,
    /// After so many losses of workers in a row that held steps of a component, none of which completed in between, the component
    /// is paused; 0 means never. Three, as many as a step survives.
    pub quarantine_losses: u32,
}

/// How an orchestrator is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Which pump of its process it is, counted from 1.
    pub pump: u32,
    /// How many that process has.
    pub pumps: u32,
    /// Where workers reach it, as they stand in `stepwright_transport::wire::Peer`. Without any, only people see it.
    pub endpoints: Vec<String>,
}

impl OrchestratorOptions {
    /// The defaults.
    pub fn new(incarnation: impl Into<String>) -> Self {
        Self {
            incarnation: incarnation.into(),
            heartbeat_ms: 1_000,
            lease_ms: 5_000,
            reconnect_grace_ms: 2_000,
            batch: BatchLimits { steps_max: 64, bytes_max: 1 << 20 },
            message_bytes_max: 8 << 20,
            payload_bytes_max: 1 << 20,
            claim_steps_max: 512,
            outcomes_max: 1_024,
            tick_ms: 1_000,
            audit_ms: 10_000,
            quarantine_losses: 3,
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.saturating_mul(3))
    }
}
