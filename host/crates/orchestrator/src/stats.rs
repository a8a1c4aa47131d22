//! Running totals of an orchestrator, readable from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Running totals since the start of the process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        pub struct OrchestratorStats { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        pub(crate) struct Totals { $(pub(crate) $name: AtomicU64,)* }

        impl Totals {
            pub(crate) fn read(&self) -> OrchestratorStats {
                OrchestratorStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

totals! {
    /// Transactions committed by the pump.
    rounds,
    /// Transactions that failed and were tried again.
    rounds_failed,
    /// Of these, those since the last that was committed.
    rounds_failing,
    /// Tasks created through the handle.
    tasks_started,
    /// Tasks that settled.
    tasks_settled,
    /// Steps sent to workers.
    steps_sent,
    /// Batches sent to workers.
    batches_sent,
    /// Batches whose completion said what had been applied.
    batches_reconciled,
    /// Outcomes applied: completed ones.
    outcomes_completed,
    /// Outcomes applied: failed ones.
    outcomes_failed,
    /// Failed attempts that will be tried again.
    retries_scheduled,
    /// Outcomes that came after their lease had ended.
    outcomes_late,
    /// Outcomes that came again.
    outcomes_duplicate,
    /// Completions or repeated outcomes that differed from what was applied.
    discrepancies,
    /// Leases lost.
    leases_lost,
    /// Plugins paused because they kept killing workers.
    plugins_quarantined,
    /// Steps of unfinished tasks that the audit looked at.
    steps_audited,
    /// Steps and tasks that contradicted themselves, and were put right.
    contradictions_repaired,
    /// Messages received.
    messages_received,
    /// Messages sent.
    messages_sent,
    /// Messages that were no message.
    messages_malformed,
}

pub(crate) fn add(total: &AtomicU64, n: usize) {
    total.fetch_add(n as u64, Ordering::Relaxed);
}
