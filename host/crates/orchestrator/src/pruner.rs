//! The pruner: removes finished tasks that are old enough, in small transactions, beside the pump and never in its way.
//!
//! ```text
//!   look along task ids ─▶ some are due ─▶ archive, fsync ─▶ remove, commit ─▶ … ─▶ the end of what is old
//!        ▲                                                                              │ if anything was removed
//!        └──── workers that are gone ◀── notes about nothing ◀── batches of nobody ◀────┘
//! ```
//!
//! A pass goes along the tasks' ids, which grow with time, and ends at the first that is too young; so nothing needs an index
//! on a column that changes. Every deletion checks again what the look had seen, so several pruners only find less to do.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use stepwright_store::{ExpiredTask, Expiry, Removed, Store, StoreError};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Clock, TaskId, Timestamp, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, ArchiveError};
use crate::options::Random;

/// Tasks in one look: some two hundred pages of a server, which one statement reads in milliseconds.
const TASKS_AT_ONCE: u32 = 5_000;
/// Batches, and notes, in one look. A batch may list many tasks, and each of them is looked up.
const BATCHES_AT_ONCE: u32 = 500;
/// Rows of events removed in one transaction: of a busy hour some hundred transactions are made.
const EVENT_ROWS_AT_ONCE: u32 = 1_000;

/// What a pruner can be told.
#[derive(Debug, Clone)]
pub struct PrunerOptions {
    /// How long tasks in which state are kept after they have settled, in milliseconds. Others are kept for ever.
    pub keep_ms: Vec<(TaskState, u64)>,
    /// How long events are kept, in milliseconds; `None` is for ever.
    pub events_keep_ms: Option<u64>,
    /// Where tasks are written before they are removed, if anywhere.
    pub archive: Option<Archive>,
    /// Steps removed in one transaction; a single task may have more. A thousand take some ten milliseconds.
    pub steps_max: usize,
    /// Between two transactions, in milliseconds, a quarter more or less by chance: the pump's turn.
    pub pause_ms: u64,
    /// Between two looks that find nothing, in milliseconds, a quarter more or less by chance.
    pub interval_ms: u64,
}

impl PrunerOptions {
    /// Whether no task is ever removed.
    pub fn keeps_every_task(&self) -> bool {
        self.keep_ms.is_empty()
    }

    /// What may go at this moment.
    pub fn expiry(&self, now: Timestamp) -> Expiry {
        let before = |kept: &u64| now.before(Duration::from_millis(*kept));
        Expiry { before: self.keep_ms.iter().map(|(state, kept)| (*state, before(kept))).collect() }
    }
}

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The tasks could not be archived, so they stay.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// What was removed.
    pub removed: Removed,
    /// More may be removed at once.
    pub more: bool,
    /// Everything that is old enough was looked at, and the next turn begins anew.
    pub ended: bool,
}

/// Where a pass stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Tasks(TaskId),
    Batches(BatchId),
    Notes(i64),
    Workers,
}

/// See the module.
pub struct Pruner {
    options: PrunerOptions,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Random,
    place: Place,
    /// What this pass takes for old.
    expiry: Expiry,
    due: VecDeque<ExpiredTask>,
    /// This pass has removed tasks, so that there may be batches of nobody.
    removed: bool,
    /// Workers that batches which stay refer to.
    workers: BTreeSet<WorkerId>,
}

impl Pruner {
    /// A pruner that does nothing until it is run.
    pub fn new(options: PrunerOptions, store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Random) -> Self {
        let expiry = options.expiry(clock.now());
        Self {
            options,
            store,
            clock,
            random,
            place: Place::Tasks(TaskId(0)),
            expiry,
            due: VecDeque::new(),
            removed: false,
            workers: BTreeSet::new(),
        }
    }

    /// Runs until `stop`. Between two transactions it ends at once; one that is cut short has removed nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.options.keeps_every_task() && self.options.events_keep_ms.is_none() {
            return stop.cancelled().await;
        }
        let mut wait = self.jittered(self.options.interval_ms);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(error) = self.remove_events().await {
                tracing::error!(%error, "failed to remove old events; they stay until the next try");
            }
            if self.options.keeps_every_task() {
                wait = self.jittered(self.options.interval_ms);
                continue;
            }
            wait = match self.turn().await {
                Ok(turn) if turn.more => self.jittered(self.options.pause_ms),
                Ok(_) => self.jittered(self.options.interval_ms),
                Err(error) => {
                    tracing::error!(%error, "failed to remove old tasks; they stay until the next try");
                    self.jittered(self.options.interval_ms)
                }
            };
        }
    }

    /// One look or one transaction.
    pub async fn turn(&mut self) -> Result<Turn, PruneError> {
        if !self.due.is_empty() {
            return self.remove_some().await;
        }
        match self.place {
            Place::Tasks(after) => self.look_at_tasks(after).await,
            Place::Batches(after) => self.remove_batches(after).await,
            Place::Notes(after) => self.remove_notes(after).await,
            Place::Workers => self.remove_workers().await,
        }
    }

    /// Removes events that are old enough, in transactions of a size.
    pub async fn remove_events(&self) -> Result<u64, StoreError> {
        let Some(kept) = self.options.events_keep_ms else { return Ok(0) };
        let until = self.clock.now().before(Duration::from_millis(kept));
        let mut removed = 0;
        loop {
            let some = self.store.remove_events(until, EVENT_ROWS_AT_ONCE).await?;
            removed += some;
            if some < u64::from(EVENT_ROWS_AT_ONCE) {
                return Ok(removed);
            }
            tokio::time::sleep(self.jittered(self.options.pause_ms)).await;
        }
    }

    async fn look_at_tasks(&mut self, after: TaskId) -> Result<Turn, PruneError> {
        if after == TaskId(0) {
            self.expiry = self.options.expiry(self.clock.now());
        }
        let found = self.store.expired_tasks(after, &self.expiry, TASKS_AT_ONCE).await?;
        self.due.extend(found.due);
        Ok(match found.next {
            Some(next) => {
                self.place = Place::Tasks(next);
                Turn { more: !self.due.is_empty(), ..Turn::default() }
            }
            None if self.removed || !self.due.is_empty() => {
                self.place = Place::Batches(BatchId(0));
                Turn { more: true, ..Turn::default() }
            }
            None => self.end(Removed::default()),
        })
    }

    /// The next due tasks, as many as fit in a transaction, and at least one.
    async fn remove_some(&mut self) -> Result<Turn, PruneError> {
        let mut steps = 0_usize;
        let fits = self.due.iter().take_while(|task| {
            let first = steps == 0;
            steps = steps.saturating_add(usize::try_from(task.steps).unwrap_or(usize::MAX).max(1));
            first || steps <= self.options.steps_max
        });
        let tasks: Vec<TaskId> = fits.map(|task| task.task).collect();
        let looked_at = tasks.len();
        let tasks = self.archive(tasks).await?;
        let removed = self.store.remove_tasks(&tasks, &self.expiry).await?;
        self.due.drain(..looked_at);
        self.removed |= !removed.is_nothing();
        if !removed.is_nothing() {
            tracing::info!(tasks = removed.tasks, steps = removed.steps, "removed old tasks");
        }
        Ok(Turn { removed, more: true, ended: false })
    }

    /// Returns those that may be removed now.
    async fn archive(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, PruneError> {
        let Some(archive) = &self.options.archive else { return Ok(tasks) };
        let now = self.clock.now();
        let (mut lines, mut readable) = (String::new(), Vec::with_capacity(tasks.len()));
        for task in &tasks {
            match archive::line(&*self.store, *task, now).await {
                Ok(Some(line)) => {
                    lines.push_str(&line);
                    lines.push('\n');
                    readable.push(*task);
                }
                Ok(None) => {}
                // It stays, and those behind it need not wait for somebody to look at it.
                Err(error @ StoreError::Inconsistent(_)) => {
                    tracing::error!(%task, %error, "an old task cannot be archived, so it stays");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !lines.is_empty() {
            archive.append(lines, now).await?;
        }
        Ok(readable)
    }

    async fn remove_batches(&mut self, after: BatchId) -> Result<Turn, PruneError> {
        let looked = self.store.expired_batches(after, self.expiry.until(), BATCHES_AT_ONCE).await?;
        let removed = self.store.remove_batches(&looked.found.due).await?;
        self.workers.extend(looked.workers);
        self.place = looked.found.next.map_or(Place::Notes(0), Place::Batches);
        Ok(Turn { removed, more: true, ended: false })
    }

    async fn remove_notes(&mut self, after: i64) -> Result<Turn, PruneError> {
        let found = self.store.expired_notes(after, self.expiry.until(), BATCHES_AT_ONCE).await?;
        let removed = self.store.remove_notes(&found.due).await?;
        self.place = found.next.map_or(Place::Workers, Place::Notes);
        Ok(Turn { removed, more: true, ended: false })
    }

    async fn remove_workers(&mut self) -> Result<Turn, PruneError> {
        let kept: Vec<WorkerId> = self.workers.iter().copied().collect();
        let removed = self.store.remove_workers(self.expiry.until(), &kept).await?;
        Ok(self.end(removed))
    }

    fn end(&mut self, removed: Removed) -> Turn {
        self.place = Place::Tasks(TaskId(0));
        self.removed = false;
        self.workers.clear();
        Turn { removed, more: false, ended: true }
    }

    fn jittered(&self, ms: u64) -> Duration {
        let quarter = (ms / 4).max(1);
        Duration::from_millis(ms.saturating_sub(quarter).saturating_add((self.random)() % (2 * quarter)))
    }
}
