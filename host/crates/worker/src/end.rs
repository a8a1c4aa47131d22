//! How a worker's life ends.

/// A worker's end that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEnd {
    /// Who asked, for people.
    pub reason: String,
    /// Whether it was told to stop at once, and so said no goodbye.
    pub aborted: bool,
    /// Steps that ended here over the worker's life.
    pub steps_ended: u64,
    /// Steps that it held and did not finish: their leases are lost, and they are tried elsewhere.
    pub steps_given_up: usize,
    /// Outcomes that nobody acknowledged in time.
    pub outcomes_unacknowledged: usize,
}

/// A worker's end that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The orchestrator does not want this worker: its settings must change.
    #[error("the orchestrator refused this worker: {reason}")]
    Refused {
        /// The orchestrator's own sentence.
        reason: String,
    },
    /// The orchestrator chose a protocol version that this build does not speak.
    #[error(
        "the orchestrator chose protocol version {chosen}, but this worker speaks {spoken}; upgrade the older of the two"
    )]
    Version {
        /// What it chose.
        chosen: u32,
        /// What this build speaks.
        spoken: u32,
    },
    /// The port was closed under the worker.
    #[error("the worker's port was closed")]
    PortClosed,
    /// Steps cannot be run here, whatever the step.
    #[error("the host was broken for {times} steps in a row, the last time because: {reason}")]
    HostBroken {
        /// How many.
        times: u32,
        /// The last reason.
        reason: String,
    },
}
