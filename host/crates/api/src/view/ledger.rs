//! Batches, and what came of them.

use serde::Serialize;
use stepwright_store::{BatchRecord, BatchStep, NoteRecord, PlannedStep};
use utoipa::ToSchema;

use super::{Failure, word};

/// A batch in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchSummary {
    /// The batch.
    pub id: i64,
    /// Who got it.
    pub worker: i64,
    /// The worker's name.
    pub worker_name: String,
    /// The worker's incarnation.
    pub incarnation: String,
    /// The incarnation of the orchestrator that made it.
    pub orchestrator: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When its completion came first.
    pub completed_at: Option<i64>,
    /// When it was closed.
    pub closed_at: Option<i64>,
    /// How it ended; null while it is open.
    pub end: Option<word::BatchEnd>,
    /// Outcomes that its completion listed and that had to be asked for again.
    pub asked_again: u32,
    /// Its steps, each with the number of the attempt.
    pub steps: Vec<Vec<i64>>,
}

impl From<stepwright_store::BatchSummary> for BatchSummary {
    fn from(batch: stepwright_store::BatchSummary) -> Self {
        Self {
            id: batch.id.0,
            worker: batch.worker.0,
            worker_name: batch.worker_name,
            incarnation: batch.incarnation,
            orchestrator: batch.orchestrator,
            created_at: batch.created_at.0,
            completed_at: batch.completed_at.map(|at| at.0),
            closed_at: batch.closed_at.map(|at| at.0),
            end: batch.end.map(word::BatchEnd),
            asked_again: batch.asked_again,
            steps: batch.steps.into_iter().map(|(step, attempt)| vec![step.0, i64::from(attempt)]).collect(),
        }
    }
}

/// Batches, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchList {
    /// They.
    pub batches: Vec<BatchSummary>,
    /// What to ask for as `before` to get the next page; null on the last one.
    pub next: Option<i64>,
}

/// A batch with what came of each attempt, and every note about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Batch {
    /// The batch.
    #[serde(flatten)]
    pub summary: BatchSummary,
    /// Its steps, in the order in which they were sent.
    pub steps_detail: Vec<BatchedStep>,
    /// Every note that names it, oldest first.
    pub notes: Vec<Note>,
}

impl From<BatchRecord> for Batch {
    fn from(batch: BatchRecord) -> Self {
        Self {
            summary: batch.summary.into(),
            steps_detail: batch.steps_detail.into_iter().map(BatchedStep::from).collect(),
            notes: batch.notes.into_iter().map(Note::from).collect(),
        }
    }
}

/// One attempt of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchedStep {
    /// The step.
    pub step: i64,
    /// Its task.
    pub task: i64,
    /// The attempt.
    pub attempt: u32,
    /// What it ran; null once the task was removed.
    pub planned: Option<Planned>,
    /// How the attempt ended, if that was recorded.
    pub status: Option<word::AttemptStatus>,
    /// When it was recorded.
    pub recorded_at: Option<i64>,
    /// How long it ran, in microseconds.
    pub execution_us: Option<u64>,
    /// The outcome's fingerprint.
    pub digest: Option<String>,
    /// Why, unless it completed.
    pub failure: Option<Failure>,
    /// What a failed or lost attempt made of its step.
    pub led_to: Option<word::StepState>,
    /// When the step was to be tried again, if it had to wait.
    pub retry_at: Option<i64>,
}

impl From<BatchStep> for BatchedStep {
    fn from(step: BatchStep) -> Self {
        Self {
            step: step.step.0,
            task: step.task.0,
            attempt: step.attempt,
            planned: step.planned.map(Planned::from),
            status: step.status.map(word::AttemptStatus),
            recorded_at: step.recorded_at.map(|at| at.0),
            execution_us: step.execution_us,
            digest: step.digest.map(|digest| digest.to_string()),
            failure: step.failure.map(Failure::from),
            led_to: step.led_to.map(word::StepState),
            retry_at: step.retry_at.map(|at| at.0),
        }
    }
}

/// What a step of a batch runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Planned {
    /// The step's name.
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The plugin's component.
    pub plugin_digest: String,
}

impl From<PlannedStep> for Planned {
    fn from(step: PlannedStep) -> Self {
        let PlannedStep { name, plugin, plugin_version, plugin_digest } = step;
        Self { name, plugin, plugin_version, plugin_digest: plugin_digest.to_string() }
    }
}

/// A line of the ledger that is no attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    /// When it was written.
    pub at: i64,
    /// The step, where there is one.
    pub step: Option<i64>,
    /// The batch, where there is one.
    pub batch: Option<i64>,
    /// The attempt, where there is one.
    pub attempt: Option<u32>,
    /// What happened.
    pub kind: word::NoteKind,
    /// More, for people.
    pub detail: String,
}

impl From<NoteRecord> for Note {
    fn from(note: NoteRecord) -> Self {
        Self {
            at: note.at.0,
            step: note.step.map(|step| step.0),
            batch: note.batch.map(|batch| batch.0),
            attempt: note.attempt,
            kind: note.kind.into(),
            detail: note.detail,
        }
    }
}
