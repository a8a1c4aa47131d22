//! One transaction of the pump: everything that was gathered goes in, everything that follows from it comes out.
//!
//! ```text
//!   joins, leaves ─▶ outcomes ─▶ losses ─▶ dependants ─▶ completions ─▶ new tasks ─▶ tasks settled ─▶ timers ─▶ claims ─▶ commit
//! ```
//!
//! A round decides by calling `stepwright_workflow` and writes by calling the store. It sends nothing: what must be sent is
//! its output, and exists only after the commit. A round that fails has changed nothing, here or in the database.

mod claim;
mod complete;
mod outcomes;
mod suspects;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stepwright_store::{
    ClosedBatch, Created, NewNote, NewTask, Round, RunningAttempt, Store, StoreError, TaskInput, WorkerState,
};
use stepwright_transport::port::ConnectionId;
use stepwright_transport::wire::{Batch, BatchCompletion, Hello, StepOutcome};
use stepwright_workflow::batch::Room;
use stepwright_workflow::reconcile::Reported;
use stepwright_workflow::task::{TaskState, settle};
use stepwright_workflow::{AttemptKey, BatchId, Clock, Digest, StepId, TaskId, Timestamp, WorkerId};

use crate::book::{Book, BookEntry, Waiting};
use crate::options::{OrchestratorOptions, Random};
use crate::plans::Plans;

/// What was gathered since the round before.
#[derive(Debug, Default)]
pub(crate) struct RoundInput {
    pub(crate) joins: Vec<(ConnectionId, Hello)>,
    pub(crate) leaves: Vec<(WorkerId, WorkerState)>,
    /// Leases that are to run for their whole time again.
    pub(crate) renewals: Vec<WorkerId>,
    /// Leases that are to end at this moment.
    pub(crate) shortened: Vec<(WorkerId, Timestamp)>,
    pub(crate) outcomes: Vec<(BatchId, StepOutcome)>,
    /// Who reported each outcome, in the same order.
    pub(crate) reporters: Vec<WorkerId>,
    pub(crate) running: Vec<RunningAttempt>,
    pub(crate) completions: Vec<(WorkerId, BatchCompletion)>,
    /// Batches that their worker no longer holds, or holds too long.
    pub(crate) lost: Vec<BatchId>,
    /// Attempts whose outcome was asked for again in vain.
    pub(crate) overdue: Vec<AttemptKey>,
    pub(crate) starts: Vec<Vec<NewTask>>,
    /// Workers that are alive: their lease is renewed, not ended, if it has run out.
    pub(crate) alive: BTreeSet<WorkerId>,
    /// Workers that can be told something.
    pub(crate) connected: Vec<WorkerId>,
    pub(crate) look: Look,
    pub(crate) rooms: Vec<Room>,
    /// Components that lost workers lately: the first step of theirs that completes clears them.
    pub(crate) suspects: BTreeSet<Digest>,
}

/// What to look for beyond what was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// There may be claimable steps of plugins.
    pub(crate) claim: bool,
    /// There may be claimable steps of external handlers.
    pub(crate) external: bool,
    /// The retry time of a step has come, or is not known yet.
    pub(crate) timers: bool,
    /// Somebody may have cancelled a leased step.
    pub(crate) cancelled: bool,
    /// A lease may have ended.
    pub(crate) expired: bool,
    /// Completions have waited long enough.
    pub(crate) completions: bool,
}

/// So many completions are worth a round of their own.
const COMPLETIONS_MAX: usize = 64;

impl RoundInput {
    pub(crate) fn is_idle(&self) -> bool {
        let can_claim = self.look.claim && self.rooms.iter().any(|room| room.wasm)
            || self.look.external && self.rooms.iter().any(|room| !room.external.is_empty());
        let told = self.joins.is_empty()
            && self.leaves.is_empty()
            && self.renewals.is_empty()
            && self.shortened.is_empty()
            && self.outcomes.is_empty()
            && self.running.is_empty()
            && !self.completions_are_due()
            && self.lost.is_empty()
            && self.overdue.is_empty()
            && self.starts.is_empty();
        told && !can_claim && !self.look.timers && !self.look.cancelled && !self.look.expired
    }

    /// A completion only closes the books of its batch, and nobody waits for that: many are reconciled together, at the next
    /// tick at the latest.
    pub(crate) fn completions_are_due(&self) -> bool {
        !self.completions.is_empty() && (self.look.completions || self.completions.len() >= COMPLETIONS_MAX)
    }
}

impl RoundInput {
    /// Puts what an undone round had taken before what came since.
    pub(crate) fn prepend(&mut self, mut undone: RoundInput) {
        fn before<T>(later: &mut Vec<T>, mut earlier: Vec<T>) {
            earlier.append(later);
            *later = earlier;
        }
        before(&mut self.joins, undone.joins);
        before(&mut self.leaves, undone.leaves);
        before(&mut self.renewals, undone.renewals);
        before(&mut self.shortened, undone.shortened);
        before(&mut self.outcomes, undone.outcomes);
        before(&mut self.reporters, undone.reporters);
        before(&mut self.running, undone.running);
        before(&mut self.completions, undone.completions);
        before(&mut self.lost, undone.lost);
        before(&mut self.overdue, undone.overdue);
        before(&mut self.starts, std::mem::take(&mut undone.starts));
        self.look.claim |= undone.look.claim;
        self.look.external |= undone.look.external;
        self.look.timers |= undone.look.timers;
        self.look.cancelled |= undone.look.cancelled;
        self.look.expired |= undone.look.expired;
        self.look.completions |= undone.look.completions;
    }
}

/// A batch that a worker still holds, with its attempts that were not reported.
pub(crate) type KeptBatch = (BatchId, Vec<(StepId, u32)>);

/// What follows from a round, to be done after its commit.
#[derive(Debug, Default)]
pub(crate) struct RoundOutput {
    pub(crate) joined: Vec<(ConnectionId, Hello, WorkerId, Timestamp, Vec<KeptBatch>)>,
    pub(crate) gone: Vec<WorkerId>,
    pub(crate) renewed: Vec<(WorkerId, Timestamp)>,
    /// Attempts that need not be sent again.
    pub(crate) acknowledged: Vec<AttemptKey>,
    /// Batches that are closed, by the worker that reported them.
    pub(crate) reconciled: Vec<(WorkerId, BatchId)>,
    pub(crate) lost: Vec<BatchId>,
    pub(crate) resend: Vec<(WorkerId, AttemptKey)>,
    pub(crate) cancel: Vec<AttemptKey>,
    pub(crate) batches: Vec<SentBatch>,
    pub(crate) created: Vec<Vec<Created>>,
    pub(crate) settled: Vec<(TaskId, TaskState)>,
    /// Claimable steps of plugins were left behind.
    pub(crate) more: bool,
    /// Claimable steps of external handlers were left behind that a worker of ours serves.
    pub(crate) more_external: bool,
    /// Claimable steps were left behind, or made, for which another orchestrator's workers may have the room or the handler.
    pub(crate) concerns_others: bool,
    /// The others were told that there is something.
    pub(crate) announced: bool,
    /// When the next waiting step becomes claimable, as far as this round knows.
    pub(crate) next_ready_at: Option<Timestamp>,
    /// Components that became suspects, or are none any more.
    pub(crate) suspected: Vec<Digest>,
    pub(crate) acquitted: Vec<Digest>,
    pub(crate) counts: Counts,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) completed: usize,
    pub(crate) failed: usize,
    pub(crate) retries: usize,
    pub(crate) late: usize,
    pub(crate) duplicate: usize,
    pub(crate) discrepancies: usize,
    pub(crate) lost: usize,
    pub(crate) quarantined: usize,
}

/// A batch to send, with what the pump must know about it.
#[derive(Debug)]
pub(crate) struct SentBatch {
    pub(crate) worker: WorkerId,
    pub(crate) message: Batch,
    pub(crate) weights: Vec<usize>,
    pub(crate) timeout_ms_max: u64,
}

/// What a round needs that outlives it. Owned by the pump, lent to one round at a time.
pub(crate) struct Runner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) options: OrchestratorOptions,
    pub(crate) plans: Plans,
    pub(crate) book: Book,
}

/// A round under way: the transaction, and what has been found out so far.
struct Work<'a> {
    tx: Box<dyn Round>,
    now: Timestamp,
    options: &'a OrchestratorOptions,
    random: &'a Random,
    plans: &'a mut Plans,
    book: &'a Book,
    out: RoundOutput,
    /// Finished parents to take off, by dependant.
    parents_finished: BTreeMap<StepId, u32>,
    /// Steps that finished well and have dependants: if none became ready, the task may have settled.
    finished: Vec<(StepId, Vec<StepId>)>,
    /// Tasks that may have settled.
    touched: BTreeSet<TaskId>,
    /// What the tasks that this round created were started with: their first steps need not read it again.
    inputs: BTreeMap<TaskId, TaskInput>,
    /// Steps became claimable in this round.
    ready: bool,
    /// Those external handlers of which steps are among them.
    external_ready: BTreeSet<String>,
    /// The external handlers of steps of which a parent finished.
    external_children: BTreeMap<StepId, String>,
    reported: Vec<(AttemptKey, Digest)>,
    waiting: Vec<(BatchId, Vec<Reported>, u32)>,
    opened: Vec<(BatchId, BookEntry)>,
    closed: Vec<ClosedBatch>,
    notes: Vec<NewNote>,
    suspects: &'a BTreeSet<Digest>,
    /// Workers whose lease ended, and the batches that they held.
    vanished: BTreeSet<WorkerId>,
    vanished_batches: BTreeSet<BatchId>,
    /// Components of which those workers held steps.
    implicated: BTreeSet<Digest>,
    /// Suspects of which a step completed.
    cleared: BTreeSet<Digest>,
}

impl Runner {
    /// Runs one round. On success everything in the output is durable.
    pub(crate) async fn run(&mut self, input: &RoundInput) -> Result<RoundOutput, StoreError> {
        let tx = self.store.round().await?;
        let mut work = Work {
            tx,
            now: self.clock.now(),
            options: &self.options,
            random: &self.random,
            plans: &mut self.plans,
            book: &self.book,
            out: RoundOutput::default(),
            parents_finished: BTreeMap::new(),
            finished: Vec::new(),
            touched: BTreeSet::new(),
            inputs: BTreeMap::new(),
            ready: false,
            external_ready: BTreeSet::new(),
            external_children: BTreeMap::new(),
            reported: Vec::new(),
            waiting: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            notes: Vec::new(),
            suspects: &input.suspects,
            vanished: BTreeSet::new(),
            vanished_batches: BTreeSet::new(),
            implicated: BTreeSet::new(),
            cleared: BTreeSet::new(),
        };
        work.everything(input).await?;
        let Work { tx, out, reported, waiting, opened, closed, now, .. } = work;
        tx.commit().await?;
        for (batch, entry) in opened {
            self.book.open(batch, entry);
        }
        for (key, digest) in reported {
            self.book.report(key, digest);
        }
        for (batch, listed, asked_again) in waiting {
            self.book.wait(batch, Waiting { listed, since: now, asked_again });
        }
        for closed in closed {
            self.book.close(closed.batch);
        }
        Ok(out)
    }
}

impl Work<'_> {
    async fn everything(&mut self, input: &RoundInput) -> Result<(), StoreError> {
        self.workers(input).await?;
        self.lock(input).await?;
        self.outcomes(&input.outcomes).await?;
        self.losses(input).await?;
        self.suspicions().await?;
        self.tx.started(&input.running).await?;
        self.release().await?;
        self.completions(&input.completions).await?;
        self.start(&input.starts).await?;
        self.settle_tasks().await?;
        self.timers(input.look.timers).await?;
        if input.look.cancelled {
            self.out.cancel = self.tx.take_cancelled(&input.connected).await?;
        }
        self.claim(input).await?;
        self.tx.close_batches(&self.closed, self.now).await?;
        self.tx.note(&self.notes, self.now).await
    }

    /// Keeps other orchestrators away from the tasks whose outcomes came.
    async fn lock(&mut self, input: &RoundInput) -> Result<(), StoreError> {
        let tasks: BTreeSet<TaskId> = input.outcomes.iter().map(|(_, outcome)| outcome.step.task()).collect();
        let tasks: Vec<TaskId> = tasks.into_iter().collect();
        self.tx.lock(&tasks).await
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        let finished: Vec<(StepId, u32)> = std::mem::take(&mut self.parents_finished).into_iter().collect();
        let ready: BTreeSet<StepId> = self.tx.release(&finished).await?.into_iter().collect();
        self.ready |= !ready.is_empty();
        let handlers = std::mem::take(&mut self.external_children);
        self.external_ready.extend(
            handlers.into_iter().filter(|(step, _)| ready.contains(step)).map(|(_, handler)| handler),
        );
        for (step, children) in self.finished.drain(..) {
            if !children.iter().any(|child| ready.contains(child)) {
                self.touched.insert(step.task());
            }
        }
        Ok(())
    }

    async fn start(&mut self, starts: &[Vec<NewTask>]) -> Result<(), StoreError> {
        if starts.is_empty() {
            return Ok(());
        }
        // However many asked, it is one creation; each gets its own share of the answer.
        let all: Vec<NewTask> = starts.iter().flatten().cloned().collect();
        let created = self.tx.create(&all, self.now).await?;
        for (new, created) in all.into_iter().zip(&created).filter(|(_, created)| !created.existing) {
            let input = TaskInput { task: created.task, context: new.context, tags: new.tags };
            self.inputs.insert(created.task, input);
            self.out.next_ready_at = earlier(self.out.next_ready_at, new.start_at);
            let first = |at: u16| new.parents.get(usize::from(at)).is_some_and(|parents| *parents == 0);
            let external =
                new.external.iter().filter(|(at, _)| first(*at)).map(|(_, handler)| handler.clone());
            self.external_ready.extend(external);
        }
        let mut created = created.into_iter();
        self.out.created = starts.iter().map(|tasks| created.by_ref().take(tasks.len()).collect()).collect();
        self.ready = true;
        Ok(())
    }

    async fn settle_tasks(&mut self) -> Result<(), StoreError> {
        let touched: Vec<TaskId> = std::mem::take(&mut self.touched).into_iter().collect();
        let counted = self.tx.count_steps(&touched).await?;
        let changed: Vec<(TaskId, TaskState, TaskState)> = counted
            .into_iter()
            .map(|(task, from, counts)| (task, from, settle(from, counts)))
            .filter(|(_, from, to)| from != to)
            .collect();
        self.tx.settle(&changed, self.now).await?;
        let settled = changed.iter().filter(|(_, _, to)| to.is_settled());
        self.out.settled.extend(settled.map(|(task, _, to)| (*task, *to)));
        Ok(())
    }

    async fn timers(&mut self, look: bool) -> Result<(), StoreError> {
        if look {
            let (woken, next) = self.tx.wake(self.now).await?;
            self.ready |= woken > 0;
            self.out.next_ready_at = earlier(self.out.next_ready_at, next);
        }
        Ok(())
    }
}

pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
