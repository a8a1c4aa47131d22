//! What the worker holds: open batches, outcomes that nobody has acknowledged, and what of it has yet to be sent. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use stepwright_transport::wire::{
    Ack, BatchCompletion, FromWorker, OutcomeStatus, PartialResult, StepOutcome, StepSummary,
};
use stepwright_workflow::{AttemptKey, BatchId, StepId};

/// A step and its attempt.
type Pair = (StepId, u32);

/// Heartbeats that an answer may take before what was sent is sent again: each time twice as many, up to the second.
const PATIENCE: (u32, u32) = (7, 56);

/// What an outcome weighs on the wire beyond its texts: names, ids, digest, receipt.
const OUTCOME_BYTES: usize = 1_024;

#[derive(Debug, Default)]
struct HeldBatch {
    /// Attempts that have not ended.
    left: HashSet<Pair>,
    /// Outcomes without an acknowledgement.
    outcomes: HashMap<Pair, StepOutcome>,
    /// Those of them that the present connection has not carried, in the order of their ends.
    unsent: Vec<Pair>,
    summaries: Vec<StepSummary>,
    /// The present connection carried the completion.
    listed: bool,
    /// Heartbeats since anything of it was sent or acknowledged.
    unanswered: u32,
    /// Times that everything was sent again for want of an answer.
    repeats: u32,
}

impl HeldBatch {
    fn has_something_to_say(&self) -> bool {
        !self.unsent.is_empty() || (self.left.is_empty() && !self.listed)
    }

    /// Something was sent, and the answer has not come.
    fn waits_for_an_answer(&self) -> bool {
        self.listed || self.outcomes.len() > self.unsent.len()
    }

    /// Whatever was not acknowledged is to be sent again. Returns how many outcomes that adds.
    fn rewind(&mut self) -> usize {
        let waiting: HashSet<Pair> = self.unsent.iter().copied().collect();
        // Outcomes that were sent come first, as they did the first time.
        let mut unsent: Vec<Pair> =
            self.outcomes.keys().copied().filter(|pair| !waiting.contains(pair)).collect();
        unsent.sort_unstable();
        let added = unsent.len();
        unsent.append(&mut self.unsent);
        self.unsent = unsent;
        self.listed = false;
        self.unanswered = 0;
        added
    }
}

/// What the worker holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    batches: BTreeMap<BatchId, HeldBatch>,
    /// Batches with something to say.
    waiting: BTreeSet<BatchId>,
    steps_left: usize,
    unsent: usize,
    batch_ended: bool,
}

impl Held {
    /// Takes a batch; returns the attempts that are new, or `None` if the batch is held already.
    pub(crate) fn take(
        &mut self,
        batch: BatchId,
        attempts: impl Iterator<Item = Pair>,
    ) -> Option<HashSet<Pair>> {
        if self.batches.contains_key(&batch) {
            return None;
        }
        let left: HashSet<Pair> = attempts.collect();
        self.steps_left += left.len();
        self.batch_ended |= left.is_empty();
        if left.is_empty() {
            self.waiting.insert(batch);
        }
        self.batches.insert(batch, HeldBatch { left: left.clone(), ..HeldBatch::default() });
        Some(left)
    }

    /// Notes how an attempt ended. An attempt of a batch that was dropped meanwhile is nobody's business.
    pub(crate) fn ended(&mut self, key: AttemptKey, outcome: StepOutcome) {
        let pair = (key.step, key.attempt);
        let Some(held) = self.batches.get_mut(&key.batch) else { return };
        if !held.left.remove(&pair) {
            return;
        }
        held.summaries.push(summary(&outcome));
        held.outcomes.insert(pair, outcome);
        held.unsent.push(pair);
        self.steps_left -= 1;
        self.unsent += 1;
        self.batch_ended |= held.left.is_empty();
        self.waiting.insert(key.batch);
    }

    /// Gives an attempt back: the completion will not list it, so the orchestrator ends its lease without charging the step.
    pub(crate) fn give_back(&mut self, key: AttemptKey) {
        let Some(held) = self.batches.get_mut(&key.batch) else { return };
        if held.left.remove(&(key.step, key.attempt)) {
            self.steps_left -= 1;
            if held.left.is_empty() {
                self.batch_ended = true;
                self.waiting.insert(key.batch);
            }
        }
    }

    /// Puts another outcome in place of one that cannot be sent, which is to be sent in turn.
    pub(crate) fn replace(&mut self, batch: BatchId, outcome: StepOutcome) {
        let pair = (outcome.step, outcome.attempt);
        let Some(held) = self.batches.get_mut(&batch) else { return };
        held.summaries.retain(|line| (line.step, line.attempt) != pair);
        held.summaries.push(summary(&outcome));
        held.outcomes.insert(pair, outcome);
        self.send_again(AttemptKey { step: pair.0, attempt: pair.1, batch });
    }

    /// The next message, of about `bytes_max` at most unless a single outcome is larger. What it carries counts as sent.
    pub(crate) fn next_message(&mut self, bytes_max: usize) -> Option<FromWorker> {
        let batch = *self.waiting.first()?;
        let held = self.batches.get_mut(&batch)?;
        held.unanswered = 0;
        let message = if held.unsent.is_empty() {
            held.listed = true;
            FromWorker::BatchCompletion(completion(batch, held))
        } else {
            let outcomes = held.next_outcomes(bytes_max);
            self.unsent -= outcomes.len();
            FromWorker::PartialResult(PartialResult { batch, outcomes, running: Vec::new() })
        };
        self.settle(batch);
        Some(message)
    }

    /// Takes a batch that has nothing more to say out of those that have.
    fn settle(&mut self, batch: BatchId) {
        if !self.batches.get(&batch).is_some_and(HeldBatch::has_something_to_say) {
            self.waiting.remove(&batch);
        }
        self.batch_ended &= !self.waiting.is_empty();
    }

    /// Forgets what is recorded for good.
    pub(crate) fn acknowledged(&mut self, ack: &Ack) {
        for key in &ack.outcomes {
            let pair = (key.step, key.attempt);
            let Some(held) = self.batches.get_mut(&key.batch) else { continue };
            (held.unanswered, held.repeats) = (0, 0);
            // An acknowledgement may cross with the same outcome's second sending.
            if held.outcomes.remove(&pair).is_some() && held.unsent.contains(&pair) {
                held.unsent.retain(|unsent| *unsent != pair);
                self.unsent -= 1;
                self.settle(key.batch);
            }
        }
        for batch in &ack.reconciled {
            self.forget(*batch);
        }
    }

    /// Sends an outcome again, if it is here. Returns whether it is, or will be.
    pub(crate) fn send_again(&mut self, key: AttemptKey) -> bool {
        let pair = (key.step, key.attempt);
        let Some(held) = self.batches.get_mut(&key.batch) else { return false };
        if held.outcomes.contains_key(&pair) && !held.unsent.contains(&pair) {
            held.unsent.push(pair);
            self.unsent += 1;
            self.waiting.insert(key.batch);
        }
        held.outcomes.contains_key(&pair) || held.left.contains(&pair)
    }

    /// The connection broke: whatever was not acknowledged is to be sent again.
    pub(crate) fn rewind(&mut self) {
        for (batch, held) in &mut self.batches {
            held.repeats = 0;
            self.unsent += held.rewind();
            if held.has_something_to_say() {
                self.waiting.insert(*batch);
            }
        }
    }

    /// A heartbeat's time has passed. What has waited too long for an answer is to be sent again: a single message may be lost
    /// without its connection. Returns those batches.
    pub(crate) fn beat(&mut self) -> Vec<BatchId> {
        let mut repeated = Vec::new();
        for (batch, held) in &mut self.batches {
            if !held.waits_for_an_answer() {
                continue;
            }
            held.unanswered += 1;
            if held.unanswered >= (PATIENCE.0 << held.repeats.min(8)).min(PATIENCE.1) {
                held.repeats += 1;
                self.unsent += held.rewind();
                self.batch_ended |= held.left.is_empty();
                self.waiting.insert(*batch);
                repeated.push(*batch);
            }
        }
        repeated
    }

    /// Drops every batch but these, and says which.
    pub(crate) fn keep(&mut self, kept: &[BatchId]) -> HashSet<BatchId> {
        let dropped: HashSet<BatchId> =
            self.batches.keys().copied().filter(|batch| !kept.contains(batch)).collect();
        for batch in &dropped {
            self.forget(*batch);
        }
        dropped
    }

    fn forget(&mut self, batch: BatchId) {
        if let Some(held) = self.batches.remove(&batch) {
            self.steps_left -= held.left.len();
            self.unsent -= held.unsent.len();
            self.settle(batch);
        }
    }

    /// An outcome that nobody has acknowledged.
    pub(crate) fn outcome(&self, key: AttemptKey) -> Option<&StepOutcome> {
        self.batches.get(&key.batch)?.outcomes.get(&(key.step, key.attempt))
    }

    /// The batches that a heartbeat lists.
    pub(crate) fn batches(&self) -> Vec<BatchId> {
        self.batches.keys().copied().collect()
    }

    /// Attempts whose outcome nobody has acknowledged.
    pub(crate) fn unacknowledged(&self) -> Vec<AttemptKey> {
        let keys = |(batch, held): (&BatchId, &HeldBatch)| -> Vec<AttemptKey> {
            let mut pairs: Vec<Pair> = held.outcomes.keys().copied().collect();
            pairs.sort_unstable();
            pairs.into_iter().map(|(step, attempt)| AttemptKey { step, attempt, batch: *batch }).collect()
        };
        self.batches.iter().flat_map(keys).collect()
    }

    /// Steps that have not ended.
    pub(crate) fn steps_left(&self) -> usize {
        self.steps_left
    }

    /// Outcomes that wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Whether there is something to send.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a batch has ended whose completion was not sent.
    pub(crate) fn has_ended_batch(&self) -> bool {
        self.batch_ended
    }

    /// Whether every outcome is acknowledged, and every completion that could be sent is reconciled.
    pub(crate) fn is_settled(&self) -> bool {
        self.batches.values().all(|held| held.outcomes.is_empty() && !held.left.is_empty())
    }
}

impl HeldBatch {
    fn next_outcomes(&mut self, bytes_max: usize) -> Vec<StepOutcome> {
        let (mut outcomes, mut bytes) = (Vec::with_capacity(self.unsent.len()), 0);
        for outcome in self.unsent.iter().filter_map(|pair| self.outcomes.get(pair)) {
            bytes += weight(outcome);
            if bytes > bytes_max && !outcomes.is_empty() {
                break;
            }
            outcomes.push(outcome.clone());
        }
        self.unsent.drain(..outcomes.len());
        outcomes
    }
}

fn weight(outcome: &StepOutcome) -> usize {
    let output = outcome.output.as_ref().map_or(0, |output| output.bytes());
    let error = outcome.error.as_ref().map_or(0, |error| {
        2 * error.message.len() + error.details.as_ref().map_or(0, |details| details.bytes())
    });
    let log = |line: &stepwright_transport::wire::LogLine| {
        let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        2 * (line.message.len() + fields) + 64
    };
    OUTCOME_BYTES + output + error + outcome.log.iter().map(log).sum::<usize>()
}

fn summary(outcome: &StepOutcome) -> StepSummary {
    StepSummary {
        task: outcome.task,
        step: outcome.step,
        attempt: outcome.attempt,
        status: outcome.status,
        execution_us: outcome.execution_us,
        digest: outcome.digest,
    }
}

fn completion(batch: BatchId, held: &HeldBatch) -> BatchCompletion {
    let completed = held.summaries.iter().filter(|line| line.status == OutcomeStatus::Completed).count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    BatchCompletion {
        batch,
        completed: count(completed),
        failed: count(held.summaries.len() - completed),
        summaries: held.summaries.clone(),
    }
}

#[cfg(test)]
mod tests;
