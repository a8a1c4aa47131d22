//! What can go wrong in a store: one variant for each thing that a caller can do about it.

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else writes, and did not finish in time: try again.
    #[error("the database is busy: another process has been writing for longer than {waited_ms} ms")]
    Busy {
        /// How long it was waited.
        waited_ms: u64,
    },
    /// The database cannot be reached or opened: tell the operator.
    #[error("{what}: {reason}")]
    Unavailable {
        /// What was being done, naming the file or address.
        what: String,
        /// Why it failed, and what to do.
        reason: String,
    },
    /// The same name was registered before with another content: choose another version.
    #[error("{subject} is registered already with another content; {advice}")]
    Conflict {
        /// What was to be registered.
        subject: String,
        /// What to do.
        advice: String,
    },
    /// The name has what can be there only once: replace it, or remove it first.
    #[error("there is {subject} already; {advice}")]
    Exists {
        /// What was to be made.
        subject: String,
        /// What to do.
        advice: String,
    },
    /// Steps were to be leased to workers that are not joined any more, or joined another orchestrator.
    #[error("{} of the workers have left, were declared lost, or joined another orchestrator", .workers.len())]
    WorkersGone {
        /// They.
        workers: Vec<stepwright_workflow::WorkerId>,
    },
    /// The request refers to something that is not there.
    #[error("there is no {subject}")]
    NotFound {
        /// What is missing.
        subject: String,
    },
    /// The database holds what it must not hold: stop and look.
    #[error("inconsistent database: {0}")]
    Inconsistent(String),
    /// The engine failed in a way that no caller can mend.
    #[error("failed to {what}")]
    Engine {
        /// What was being done.
        what: &'static str,
        /// The engine's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same may succeed later: nothing about what was asked is wrong.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable { .. } | Self::WorkersGone { .. })
    }
}
