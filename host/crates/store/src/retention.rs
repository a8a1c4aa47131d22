//! What may be removed, what was, and how large what is left is.

use std::ops::AddAssign;

use async_trait::async_trait;
use serde::Serialize;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, TaskId, Timestamp, WorkerId};

use crate::Result;

/// Looks for what is old, and removes it. A look changes nothing; a removal is one small transaction, and checks again.
#[async_trait]
pub trait Retention {
    /// Looks at up to `examine` tasks beyond `after`, in the order of their ids, for those that may be removed. Changes nothing.
    async fn expired_tasks(
        &self,
        after: TaskId,
        expiry: &Expiry,
        examine: u32,
    ) -> Result<Found<ExpiredTask, TaskId>>;
    /// Removes those of these tasks that may still go, with everything that is only theirs, in one transaction. A task of which
    /// a batch is open stays. Two at once are harmless: each task is removed once.
    async fn remove_tasks(&self, tasks: &[TaskId], expiry: &Expiry) -> Result<Removed>;
    /// Looks at up to `examine` batches beyond `after` for those that were made before `until`, are closed, and list no step of
    /// a task that is there.
    async fn expired_batches(
        &self,
        after: BatchId,
        until: Timestamp,
        examine: u32,
    ) -> Result<FoundBatches<BatchId>>;
    /// Removes closed batches and the notes that are about them alone.
    async fn remove_batches(&self, batches: &[BatchId]) -> Result<Removed>;
    /// Looks at up to `examine` notes beyond the one numbered `after` for those that were written before `until` and are about
    /// no task and no batch that is there.
    async fn expired_notes(&self, after: i64, until: Timestamp, examine: u32) -> Result<Found<i64, i64>>;
    /// Removes notes by their numbers.
    async fn remove_notes(&self, notes: &[i64]) -> Result<Removed>;
    /// Removes workers that are gone since before `until`, except those that are referred to.
    async fn remove_workers(&self, until: Timestamp, except: &[WorkerId]) -> Result<Removed>;
    /// How much room everything takes. May read all of the database.
    async fn size(&self) -> Result<DatabaseSize>;
}

/// Which tasks may be removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expiry {
    /// Tasks in this state that settled before this moment. Tasks in other states stay, whatever their age.
    pub before: Vec<(TaskState, Timestamp)>,
}

/// How far apart the clocks of two orchestrators may be, in milliseconds: ids grow with time, but only so exactly.
const SKEW_MS: i64 = 3_600_000;

impl Expiry {
    /// Nothing that was made later can be concerned.
    pub fn until(&self) -> Timestamp {
        self.before.iter().map(|(_, before)| *before).max().unwrap_or(Timestamp(i64::MIN))
    }

    /// Whoever walks along ids may stop at what was made at this moment.
    pub fn walk_until(&self) -> Timestamp {
        walk_until(self.until())
    }
}

/// The same for one moment.
pub fn walk_until(until: Timestamp) -> Timestamp {
    Timestamp(until.0.saturating_add(SKEW_MS))
}

/// A task that may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExpiredTask {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// How many steps it has.
    pub steps: u32,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, Cursor> {
    /// What may be removed.
    pub due: Vec<T>,
    /// Where to look on; `None` once everything that is old enough was looked at.
    pub next: Option<Cursor>,
}

/// What one look at batches found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBatches<Cursor> {
    /// The look.
    pub found: Found<BatchId, Cursor>,
    /// Workers that batches which stay refer to.
    pub workers: Vec<WorkerId>,
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Removed {
    /// Tasks, with what they were started with.
    pub tasks: u64,
    /// Their steps.
    pub steps: u64,
    /// Lines of the ledger that are attempts.
    pub attempts: u64,
    /// Lines of the ledger that are not.
    pub notes: u64,
    /// Batches that no task refers to any more.
    pub batches: u64,
    /// Workers that are gone, and that no batch refers to any more.
    pub workers: u64,
}

impl Removed {
    /// Whether nothing was.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.steps += other.steps;
        self.attempts += other.attempts;
        self.notes += other.notes;
        self.batches += other.batches;
        self.workers += other.workers;
    }
}

/// How much room a database takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseSize {
    /// All of it, in bytes.
    pub bytes: u64,
    /// Pages that are free to be used again, in bytes, where the engine knows.
    pub free_bytes: Option<u64>,
    /// Its tables, the largest first.
    pub tables: Vec<TableSize>,
}

/// How much room a table takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// The table.
    pub name: String,
    /// Its rows; a server's estimate, a file's count.
    pub rows: u64,
    /// Rows that were removed or rewritten and whose room was not reclaimed, where the engine knows.
    pub dead_rows: Option<u64>,
    /// The table without its indexes, in bytes.
    pub bytes: u64,
    /// Its indexes, in bytes.
    pub index_bytes: u64,
    /// Bytes inside the table's pages that hold nothing, where the engine knows.
    pub unused_bytes: Option<u64>,
    /// When its room was last reclaimed, where the engine knows.
    pub vacuumed_at: Option<Timestamp>,
}
