//! The second half of the dual result protocol: closing lists against what was reported.

use std::collections::BTreeMap;

use stepwright_store::{BatchEnd, ClosedBatch, NewNote, NoteKind, StoreError};
use stepwright_transport::wire::BatchCompletion;
use stepwright_workflow::reconcile::{Reconciled, Reported, reconcile};
use stepwright_workflow::{AttemptKey, BatchId, Digest, StepId, WorkerId};

use super::Work;
use super::outcomes::note;
use crate::book::BookEntry;

impl Work<'_> {
    /// Reconciles the completions that came, and those that waited for outcomes which came now.
    pub(super) async fn completions(
        &mut self,
        came: &[(WorkerId, BatchCompletion)],
    ) -> Result<(), StoreError> {
        let mut lists: BTreeMap<BatchId, (WorkerId, Vec<Reported>)> = BTreeMap::new();
        for (key, _) in &self.reported {
            let waiting =
                self.book.get(key.batch).and_then(|entry| Some((entry.worker, entry.waiting.as_ref()?)));
            if let Some((worker, waiting)) = waiting {
                lists.entry(key.batch).or_insert_with(|| (worker, waiting.listed.clone()));
            }
        }
        for (worker, completion) in came {
            let listed = completion.summaries.iter();
            let listed =
                listed.map(|line| Reported { step: line.step, attempt: line.attempt, digest: line.digest });
            lists.insert(completion.batch, (*worker, listed.collect()));
        }
        // What was reported in this very round, by batch: the book learns of it only after the commit.
        let mut now: BTreeMap<BatchId, BTreeMap<(StepId, u32), Digest>> = BTreeMap::new();
        if !lists.is_empty() {
            for (key, digest) in &self.reported {
                now.entry(key.batch).or_default().entry((key.step, key.attempt)).or_insert(*digest);
            }
        }
        for (batch, (worker, listed)) in lists {
            self.completion(batch, worker, listed, now.remove(&batch).unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn completion(
        &mut self,
        batch: BatchId,
        worker: WorkerId,
        listed: Vec<Reported>,
        now: BTreeMap<(StepId, u32), Digest>,
    ) -> Result<(), StoreError> {
        let Some(mut entry) = self.held(batch).await? else {
            // Closed, or never made: the worker may forget it.
            self.out.reconciled.push((worker, batch));
            return self.note_closed(batch).await;
        };
        for (key, digest) in now {
            if let Some(reported) = entry.steps.get_mut(&key) {
                reported.get_or_insert(digest);
            }
        }
        let result = reconcile(&entry.steps, &listed);
        let waiting = entry.waiting.take();
        if !result.missing.is_empty() {
            let key = |(step, attempt)| AttemptKey { step, attempt, batch };
            self.out.resend.extend(result.missing.iter().map(|missing| (worker, key(*missing))));
            if self.book.get(batch).is_none() {
                self.opened.push((batch, entry));
            }
            let missing = u32::try_from(result.missing.len()).unwrap_or(u32::MAX);
            self.waiting.push((batch, listed, missing));
            return Ok(());
        }
        let (came, asked_again) =
            waiting.map_or((self.now, 0), |waiting| (waiting.since, waiting.asked_again));
        let end = self.differences(batch, &result).await?;
        self.closed.push(ClosedBatch { batch, end, completed_at: Some(came), asked_again });
        self.out.reconciled.push((worker, batch));
        Ok(())
    }

    /// A completion for a batch that is not open.
    async fn note_closed(&mut self, batch: BatchId) -> Result<(), StoreError> {
        let (kind, detail) = match self.tx.batch(batch).await?.and_then(|closed| closed.end) {
            Some(BatchEnd::Lost) => {
                (NoteKind::Late, "the completion came after the batch had been given up as lost")
            }
            Some(_) => (NoteKind::Duplicate, "the completion came again"),
            None => (NoteKind::Late, "a completion came for a batch that never was"),
        };
        self.note_batch(batch, kind, detail.to_owned());
        Ok(())
    }

    /// Notes and counts what a completion says differently. Whatever was recorded stands; attempts that it does not list are lost.
    async fn differences(&mut self, batch: BatchId, result: &Reconciled) -> Result<BatchEnd, StoreError> {
        let key = |(step, attempt): (StepId, u32)| AttemptKey { step, attempt, batch };
        let unlisted: Vec<AttemptKey> = result.unlisted.iter().map(|pair| key(*pair)).collect();
        self.lose(&unlisted, "its worker ended the batch without it").await?;
        for key in unlisted {
            let detail = "the completion does not list the attempt";
            self.notes.push(note(key, NoteKind::Discrepancy, detail.to_owned()));
        }
        for pair in &result.different {
            let detail = "the completion lists another outcome than the one that was recorded, which stands";
            self.notes.push(note(key(*pair), NoteKind::Discrepancy, detail.to_owned()));
        }
        for (step, attempt) in &result.foreign {
            let detail =
                format!("the completion lists attempt {attempt} of step {step}, which is not in the batch");
            self.note_batch(batch, NoteKind::Discrepancy, detail);
        }
        let discrepancies = result.different.len() + result.foreign.len() + result.unlisted.len();
        self.out.counts.discrepancies += discrepancies;
        Ok(if discrepancies == 0 { BatchEnd::Reconciled } else { BatchEnd::Discrepancy })
    }

    /// The open batch, from the book or, after a restart, from the ledger.
    pub(super) async fn held(&mut self, batch: BatchId) -> Result<Option<BookEntry>, StoreError> {
        if let Some(entry) = self.book.get(batch) {
            return Ok(Some(entry.clone()));
        }
        let Some(open) = self.tx.batch(batch).await?.filter(|open| open.end.is_none()) else {
            return Ok(None);
        };
        let keys: Vec<AttemptKey> = open
            .steps
            .iter()
            .map(|(step, attempt)| AttemptKey { step: *step, attempt: *attempt, batch })
            .collect();
        let mut steps: BTreeMap<(StepId, u32), Option<Digest>> =
            open.steps.iter().map(|pair| (*pair, None)).collect();
        for (key, digest) in self.tx.recorded(&keys).await? {
            steps.insert((key.step, key.attempt), digest);
        }
        Ok(Some(BookEntry { worker: open.worker, steps, waiting: None }))
    }

    pub(super) fn note_batch(&mut self, batch: BatchId, kind: NoteKind, detail: String) {
        self.notes.push(NewNote { step: None, task: None, batch: Some(batch), attempt: None, kind, detail });
    }
}
