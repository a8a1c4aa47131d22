//! What reported outcomes and lost leases do to their steps.

use std::collections::{BTreeMap, BTreeSet};
use stepwright_store::{
    AttemptLine, AttemptStatus, BatchEnd, ClosedBatch, CompletedAttempt, EndedAttempt, LeasedStep, NewNote,
    NoteKind, OpenBatch, StoreError, Usage,
};
use stepwright_transport::wire::{Receipt, StepOutcome};
use stepwright_workflow::step::{self, StepEvent, StepState};
use stepwright_workflow::{AttemptKey, BatchId, Failure, FailureClass, Payload, PlanId, StepId, TaskId};

use super::{RoundInput, Work, earlier};

impl Work<'_> {
    /// Applies each outcome whose lease still stands; the others are late or duplicates, and change nothing.
    pub(super) async fn outcomes(&mut self, outcomes: &[(BatchId, StepOutcome)]) -> Result<(), StoreError> {
        let rubbish =
            Failure::new(FailureClass::Retryable, "its worker reported neither an output nor an error");
        let (mut completed, mut failed) = (Vec::new(), Vec::new());
        let mut first = BTreeSet::new();
        let mut unapplied: Vec<(AttemptKey, &StepOutcome)> = Vec::new();
        for (batch, outcome) in outcomes {
            let key = AttemptKey { step: outcome.step, attempt: outcome.attempt, batch: *batch };
            self.out.acknowledged.push(key);
            self.reported.push((key, outcome.digest));
            if !first.insert(key) {
                unapplied.push((key, outcome));
                continue;
            }
            match (&outcome.output, &outcome.error) {
                (Some(output), None) => {
                    completed.push(CompletedAttempt { key, output: output.clone(), line: line(outcome) });
                }
                (_, error) => failed.push((key, error.as_ref().unwrap_or(&rubbish), outcome)),
            }
        }
        let applied = self.tx.complete(&completed, self.now).await?;
        self.out.counts.completed += applied.len();
        let hits = self.failed(&failed).await?;
        let applied: BTreeSet<AttemptKey> = self.finish(&applied).await?.into_iter().chain(hits).collect();
        if applied.len() < first.len() {
            let keyed = outcomes.iter().map(|(batch, outcome)| {
                (AttemptKey { step: outcome.step, attempt: outcome.attempt, batch: *batch }, outcome)
            });
            unapplied.extend(keyed.filter(|(key, _)| first.remove(key) && !applied.contains(key)));
        }
        if unapplied.is_empty() { Ok(()) } else { self.unapplied(unapplied).await }
    }

    /// Notes what follows from steps that finished well.
    pub(super) async fn finish(
        &mut self,
        applied: &[(AttemptKey, PlanId)],
    ) -> Result<Vec<AttemptKey>, StoreError> {
        let mut keys = Vec::with_capacity(applied.len());
        for (key, plan) in applied {
            let entry = self.plans.get(&mut *self.tx, *plan).await?;
            let task = key.step.task();
            let children = entry.graph.children(key.step.position());
            let children: Vec<StepId> = children.iter().map(|child| StepId::new(task, *child)).collect();
            if !self.suspects.is_empty() {
                let digest = entry.step(key.step)?.digest;
                self.cleared.extend(self.suspects.get(&digest));
            }
            for child in &children {
                *self.parents_finished.entry(*child).or_default() += 1;
                if let Some(handler) = entry.step(*child)?.external() {
                    self.external_children.insert(*child, handler.to_owned());
                }
            }
            self.finished.push((key.step, children));
            keys.push(*key);
        }
        Ok(keys)
    }

    async fn failed(
        &mut self,
        failed: &[(AttemptKey, &Failure, &StepOutcome)],
    ) -> Result<Vec<AttemptKey>, StoreError> {
        let keys: Vec<AttemptKey> = failed.iter().map(|(key, ..)| *key).collect();
        let leased = self.tx.leased(&keys).await?;
        let by_key: BTreeMap<AttemptKey, _> =
            failed.iter().map(|(key, failure, outcome)| (*key, (*failure, *outcome))).collect();
        let mut ended = Vec::with_capacity(leased.len());
        for standing in leased {
            let Some(&(failure, outcome)) = by_key.get(&standing.key) else { continue };
            let event = StepEvent::Failed { failure, random: uniform(self.random) };
            ended.push(
                self.end(standing, &event, (AttemptStatus::Failed, failure.clone()), line(outcome)).await?,
            );
        }
        let applied = self.tx.end(&ended, self.now).await?;
        self.out.counts.failed += applied.len();
        Ok(applied)
    }

    /// Decides what the end of an attempt does to its step.
    pub(super) async fn end(
        &mut self,
        leased: LeasedStep,
        event: &StepEvent<'_>,
        (status, failure): (AttemptStatus, Failure),
        line: AttemptLine,
    ) -> Result<EndedAttempt, StoreError> {
        let entry = self.plans.get(&mut *self.tx, leased.plan).await?;
        let retry = entry.step(leased.key.step)?.retry;
        let moved = step::next(leased.standing, &retry, event)
            .map_err(|illegal| StoreError::Inconsistent(format!("step {}: {illegal}", leased.key.step)))?;
        let ready_at = moved.delay.filter(|delay| !delay.is_zero()).map(|delay| self.now.after(delay));
        if moved.to.state == StepState::Ready {
            if ready_at.is_none() {
                self.ready = true;
                let handler = entry.step(leased.key.step)?.external();
                self.external_ready.extend(handler.map(str::to_owned));
            }
            self.out.next_ready_at = earlier(self.out.next_ready_at, ready_at);
            self.out.counts.retries += 1;
        } else {
            self.touched.insert(leased.key.step.task());
        }
        // Where losses end as poisoned, that is what the step shows.
        let failure = moved.failure.unwrap_or(failure);
        Ok(EndedAttempt { key: leased.key, to: moved.to, ready_at, status, failure, line })
    }

    async fn unapplied(&mut self, missed: Vec<(AttemptKey, &StepOutcome)>) -> Result<(), StoreError> {
        let keys: Vec<AttemptKey> = missed.iter().map(|(key, _)| *key).collect();
        let recorded: BTreeMap<AttemptKey, _> = self.tx.recorded(&keys).await?.into_iter().collect();
        for (key, outcome) in missed {
            let (kind, detail) = match recorded.get(&key) {
                Some(Some(digest)) if *digest == outcome.digest => {
                    self.out.counts.duplicate += 1;
                    (NoteKind::Duplicate, "the same outcome came again".to_owned())
                }
                Some(Some(digest)) => {
                    self.out.counts.discrepancies += 1;
                    let detail = format!(
                        "recorded {digest}, then came {}: the recorded outcome stands",
                        outcome.digest
                    );
                    (NoteKind::Discrepancy, detail)
                }
                _ => {
                    self.out.counts.late += 1;
                    let status = if outcome.output.is_some() { "completed" } else { "failed" };
                    (NoteKind::Late, format!("an outcome '{status}' came after its lease had ended"))
                }
            };
            self.notes.push(note(key, kind, detail));
        }
        Ok(())
    }

    /// Ends the leases that were lost: of workers that are gone, and of batches that their worker forgot.
    pub(super) async fn losses(&mut self, input: &RoundInput) -> Result<(), StoreError> {
        let mut lost = input.overdue.clone();
        for batch in &input.lost {
            if let Some(open) = self.tx.batch(*batch).await?.filter(|open| open.end.is_none()) {
                let why = "its worker no longer holds it, or held it beyond every deadline";
                self.lose_batch(open, why, &mut lost);
            }
        }
        for worker in self.out.gone.clone() {
            for open in self.tx.open_batches(worker).await? {
                if self.vanished.contains(&worker) {
                    self.vanished_batches.insert(open.batch);
                }
                self.lose_batch(open, "its worker left, or its lease ended", &mut lost);
            }
        }
        self.lose(&lost, "its worker no longer holds it").await
    }

    pub(super) fn lose_batch(&mut self, open: OpenBatch, why: &str, lost: &mut Vec<AttemptKey>) {
        let batch = open.batch;
        self.note_batch(batch, NoteKind::LeaseLost, format!("the batch was lost: {why}"));
        lost.extend(open.steps.into_iter().map(|(step, attempt)| AttemptKey { step, attempt, batch }));
        self.closed.push(ClosedBatch::without_completion(batch, BatchEnd::Lost));
        self.out.lost.push(batch);
    }

    /// Ends the leases of these attempts as lost, where they still stand. The same attempt may be named several times: a batch
    /// can be found astray, be overdue and go with its worker, all in one round.
    pub(super) async fn lose(&mut self, lost: &[AttemptKey], why: &str) -> Result<(), StoreError> {
        let lost: BTreeSet<AttemptKey> = lost.iter().copied().collect();
        let lost: Vec<AttemptKey> = lost.into_iter().collect();
        let mut tasks: Vec<TaskId> = lost.iter().map(|key| key.step.task()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        self.tx.lock(&tasks).await?;
        let mut ended = Vec::new();
        for leased in self.tx.leased(&lost).await? {
            let entry = self.plans.get(&mut *self.tx, leased.plan).await?;
            self.implicate(&leased, &entry)?;
            let failure = Failure::new(FailureClass::Lost, format!("the attempt was lost: {why}"));
            let line = AttemptLine::default();
            ended.push(self.end(leased, &StepEvent::Lost, (AttemptStatus::Lost, failure), line).await?);
        }
        self.out.counts.lost += self.tx.end(&ended, self.now).await?.len();
        Ok(())
    }
}

pub(super) fn note(key: AttemptKey, kind: NoteKind, detail: String) -> NewNote {
    NewNote {
        step: Some(key.step),
        task: Some(key.step.task()),
        batch: Some(key.batch),
        attempt: Some(key.attempt),
        kind,
        detail,
    }
}

/// The low half of a random number.
fn uniform(random: &crate::options::Random) -> u32 {
    u32::try_from(random() & u64::from(u32::MAX)).unwrap_or(0)
}

fn line(outcome: &StepOutcome) -> AttemptLine {
    AttemptLine {
        digest: Some(outcome.digest),
        started_at: Some(outcome.started_at),
        execution_us: outcome.execution_us,
        cpu_us: outcome.receipt.cpu_us,
        memory_bytes_peak: outcome.receipt.memory_bytes_peak,
        usage: usage(&outcome.receipt),
        log: (!outcome.log.is_empty()).then(|| Payload::of(&outcome.log).ok()).flatten(),
    }
}

fn usage(receipt: &Receipt) -> Usage {
    Usage {
        bytes_in: receipt.bytes_in,
        bytes_out: receipt.bytes_out,
        host_calls: receipt.host_calls,
        http_calls: receipt.http_calls,
        http_bytes_out: receipt.http_bytes_out,
        http_bytes_in: receipt.http_bytes_in,
        file_bytes_written: receipt.file_bytes_written,
    }
}
