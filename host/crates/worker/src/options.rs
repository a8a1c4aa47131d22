//! What a worker can be told, with the reason for each default.

use std::time::Duration;

/// What a worker can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The worker's name, for people. Not unique over time.
    pub name: String,
    /// Random, new at each start of the process: who holds a lease.
    pub incarnation: String,
    /// The machine's name.
    pub host: String,
    /// The process's id on that machine.
    pub pid: u32,
    /// Labels for people.
    pub labels: Vec<(String, String)>,
    /// Steps that it runs at once; at least 1.
    pub slots: u32,
    /// Steps that it is willing to hold, running ones included. The pipe must not run dry while an outcome travels, is
    /// committed and a new batch comes back, some 3 ms; a small step takes 0.1 ms. So 32 for each slot, and never less than one
    /// full batch. More would only keep steps from other workers, and lose more with a vanished one.
    pub credit: u32,
    /// Payload bytes that it is willing to hold. 64 MiB: more than any pipe of ordinary steps needs.
    pub credit_bytes: u64,
    /// How long a finished step's outcome may wait for others while more steps wait for a slot, in milliseconds. Two: fewer
    /// messages by far, and less than a commit takes. With a free slot nothing waits.
    pub coalesce_ms: u64,
    /// Outcomes that wait at most, whatever the time. A full batch.
    pub coalesce_outcomes_max: usize,
    /// How long running and queued steps may go on after a drain began, in milliseconds. Inside the 30 s that service managers
    /// allow, with the acknowledgements.
    pub drain_ms: u64,
    /// How long a drained worker waits for its last outcomes to be acknowledged, in milliseconds. Longer than a lease.
    pub ack_ms: u64,
    /// Steps in a row for which the host was broken before the worker gives up. One or two may be the steps' doing.
    pub broken_max: u32,
}

impl WorkerOptions {
    /// The defaults for so many slots.
    pub fn new(name: impl Into<String>, incarnation: impl Into<String>, slots: u32) -> Self {
        let slots = slots.max(1);
        Self {
            name: name.into(),
            incarnation: incarnation.into(),
            host: String::new(),
            pid: 0,
            labels: Vec::new(),
            slots,
            credit: slots.saturating_mul(32).max(64),
            credit_bytes: 64 << 20,
            coalesce_ms: 2,
            coalesce_outcomes_max: 64,
            drain_ms: 20_000,
            ack_ms: 7_000,
            broken_max: 8,
        }
    }

    pub(crate) fn slots(&self) -> usize {
        usize::try_from(self.slots).unwrap_or(usize::MAX).max(1)
    }

    pub(crate) fn coalesce(&self) -> Duration {
        Duration::from_millis(self.coalesce_ms)
    }
}
