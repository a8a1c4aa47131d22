//! What the ledger says of batches: who got them, what came of each attempt, how they ended.

use async_trait::async_trait;
use serde::Serialize;
use stepwright_workflow::step::StepState;
use stepwright_workflow::{BatchId, Digest, Failure, StepId, TaskId, Timestamp, WorkerId};

use crate::Result;
use crate::record::{AttemptStatus, BatchEnd, BatchState};
use crate::usage::AttemptReceipt;
use crate::view::NoteRecord;

/// What an operator asks of the ledger. Reads only.
#[async_trait]
pub trait Ledger {
    /// Batches that match, newest first.
    async fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchSummary>>;
    /// One batch with its attempts and notes.
    async fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>>;
    /// Every batch that a task's steps, attempts or notes name, oldest first.
    async fn batches_of(&self, task: TaskId) -> Result<Vec<BatchSummary>>;
    /// Every note that names one of these batches, oldest first.
    async fn batch_notes(&self, batches: &[BatchId]) -> Result<Vec<NoteRecord>>;
    /// How many discrepancies were noted: read from an index that holds nothing else.
    async fn discrepancies(&self) -> Result<Discrepancies>;
    /// What the newest attempts used, newest steps first, at most `limit`. `before` is the last one of the page before.
    async fn receipts(&self, before: Option<(StepId, u32)>, limit: u32) -> Result<Vec<AttemptReceipt>>;
}

/// Which batches to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchFilter {
    /// Only batches of workers with this name.
    pub worker: Option<String>,
    /// Only batches that stand so.
    pub state: Option<BatchState>,
    /// Only batches that were made then or later.
    pub since: Option<Timestamp>,
    /// Only batches with a smaller id: the cursor of the page before.
    pub before: Option<BatchId>,
    /// At most so many.
    pub limit: u32,
}

/// A batch in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchSummary {
    /// The batch.
    pub id: BatchId,
    /// Who got it.
    pub worker: WorkerId,
    /// The worker's name.
    pub worker_name: String,
    /// The worker's incarnation.
    pub incarnation: String,
    /// The incarnation of the orchestrator that made it; `None` for batches of before that was kept.
    pub orchestrator: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its completion came first; `None` if none did.
    pub completed_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// How it ended; `None` while it is open.
    pub end: Option<BatchEnd>,
    /// Outcomes that its completion listed and that had to be asked for again.
    pub asked_again: u32,
    /// Its steps and attempts.
    pub steps: Vec<(StepId, u32)>,
}

/// A batch with what came of each attempt, and every note about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchRecord {
    /// The batch.
    #[serde(flatten)]
    pub summary: BatchSummary,
    /// Its steps, in the order in which they were sent.
    pub steps_detail: Vec<BatchStep>,
    /// Every note that names it, oldest first.
    pub notes: Vec<NoteRecord>,
}

/// One attempt of a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchStep {
    /// The step.
    pub step: StepId,
    /// Its task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// What it ran; `None` once the task was removed.
    pub planned: Option<PlannedStep>,
    /// How the attempt ended, if that was recorded.
    pub status: Option<AttemptStatus>,
    /// When it was recorded.
    pub recorded_at: Option<Timestamp>,
    /// How long it ran, in microseconds.
    pub execution_us: Option<u64>,
    /// The outcome's fingerprint.
    pub digest: Option<Digest>,
    /// Why, unless it completed.
    pub failure: Option<Failure>,
    /// What a failed or lost attempt made of its step.
    pub led_to: Option<StepState>,
    /// When the step was to be tried again, if it had to wait.
    pub retry_at: Option<Timestamp>,
}

/// What a step runs, as its plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// The step's name.
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The plugin's component.
    pub plugin_digest: Digest,
}

/// How many discrepancies the ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Discrepancies {
    /// So many.
    pub count: u64,
    /// When the last one was noted.
    pub last_at: Option<Timestamp>,
}
