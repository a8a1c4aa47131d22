//! The open batches and what was reported about each of their attempts: what a completion is reconciled with.
//!
//! A mirror of the ledger, kept to save reads. It changes only after a commit, and can be rebuilt from the store.

use std::collections::BTreeMap;

use stepwright_workflow::reconcile::Reported;
use stepwright_workflow::{AttemptKey, BatchId, Digest, StepId, Timestamp, WorkerId};

#[derive(Debug, Clone)]
pub(crate) struct BookEntry {
    pub(crate) worker: WorkerId,
    /// What was reported, applied or not; `None` while nothing was.
    pub(crate) steps: BTreeMap<(StepId, u32), Option<Digest>>,
    /// A completion that waits for outcomes which were asked for again.
    pub(crate) waiting: Option<Waiting>,
}

/// A completion that cannot be reconciled yet.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// What it lists.
    pub(crate) listed: Vec<Reported>,
    /// When it came first.
    pub(crate) since: Timestamp,
    /// How many outcomes were asked for again.
    pub(crate) asked_again: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Book(BTreeMap<BatchId, BookEntry>);

impl Book {
    pub(crate) fn get(&self, batch: BatchId) -> Option<&BookEntry> {
        self.0.get(&batch)
    }

    pub(crate) fn open(&mut self, batch: BatchId, entry: BookEntry) {
        self.0.insert(batch, entry);
    }

    pub(crate) fn close(&mut self, batch: BatchId) {
        self.0.remove(&batch);
    }

    pub(crate) fn report(&mut self, key: AttemptKey, digest: Digest) {
        let entry = self.0.get_mut(&key.batch);
        if let Some(reported) = entry.and_then(|entry| entry.steps.get_mut(&(key.step, key.attempt))) {
            reported.get_or_insert(digest);
        }
    }

    pub(crate) fn wait(&mut self, batch: BatchId, mut waiting: Waiting) {
        if let Some(entry) = self.0.get_mut(&batch) {
            if let Some(earlier) = &entry.waiting {
                waiting.since = earlier.since;
                waiting.asked_again = waiting.asked_again.max(earlier.asked_again);
            }
            entry.waiting = Some(waiting);
        }
    }

    /// Attempts that were asked for again and did not come by `latest`.
    pub(crate) fn overdue(&self, latest: Timestamp) -> Vec<AttemptKey> {
        let late = |entry: &&BookEntry| entry.waiting.as_ref().is_some_and(|waiting| waiting.since <= latest);
        let mut overdue = Vec::new();
        for (batch, entry) in self.0.iter().filter(|(_, entry)| late(entry)) {
            let missing = entry.steps.iter().filter(|(_, digest)| digest.is_none());
            overdue.extend(missing.map(|((step, attempt), _)| AttemptKey {
                step: *step,
                attempt: *attempt,
                batch: *batch,
            }));
        }
        overdue
    }
}
