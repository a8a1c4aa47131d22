//! What reads for people bring back: whole tasks, their attempts and notes, workers, and figures.

use std::collections::HashMap;

use serde::Serialize;
use stepwright_workflow::insight::{PauseView, StepView, TaskView};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Digest, Failure, Payload, PlanId, StepId, TaskId, Timestamp, WorkerId};

use crate::pause::PauseRecord;
use crate::record::{AttemptStatus, NoteKind, WorkerState};
use crate::usage::Usage;

/// A stored note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteRecord {
    /// When it was written.
    pub at: Timestamp,
    /// The step, where there is one.
    pub step: Option<StepId>,
    /// The batch, where there is one.
    pub batch: Option<BatchId>,
    /// The attempt, where there is one.
    pub attempt: Option<u32>,
    /// What happened.
    pub kind: NoteKind,
    /// More, for people.
    pub detail: String,
}

/// A registered incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerRecord {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// Its incarnation.
    pub incarnation: String,
    /// Its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Steps that it runs at once.
    pub slots: u32,
    /// What became of it.
    pub state: WorkerState,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When its lease was last renewed, or it ended.
    pub seen_at: Timestamp,
    /// Steps that it holds now.
    pub steps_held: u64,
}

/// Which tasks to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Only tasks in one of these states; empty means any.
    pub states: Vec<TaskState>,
    /// Only tasks of this namespace.
    pub namespace: Option<String>,
    /// Only tasks of this template.
    pub template: Option<String>,
    /// Only tasks with a smaller id: the cursor of the page before.
    pub before: Option<TaskId>,
    /// At most so many.
    pub limit: u32,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskSummary {
    /// The task.
    pub id: TaskId,
    /// What it runs.
    pub plan: PlanId,
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub template: String,
    /// The template's version.
    pub version: String,
    /// Where it stands.
    pub state: TaskState,
    /// Higher is claimed first.
    pub priority: i32,
    /// The key it was started with.
    pub idempotency_key: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first step was claimed.
    pub started_at: Option<Timestamp>,
    /// When it settled.
    pub finished_at: Option<Timestamp>,
    /// How many steps it has.
    pub steps: u32,
    /// How many of them finished well.
    pub steps_finished: u32,
    /// How many of them are in `error`.
    pub steps_in_error: u32,
}

/// A task with all that is known about its steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskRecord {
    /// The task.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// What it was started with.
    pub context: Payload,
    /// Its labels.
    pub tags: Vec<(String, String)>,
    /// The pauses that cover it, or some of its steps.
    pub pauses: Vec<PauseRecord>,
    /// Its steps, by position.
    pub steps_detail: Vec<StepRecord>,
}

/// A step with its last attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRecord {
    /// The step.
    pub id: StepId,
    /// Its name.
    pub name: String,
    /// Names of its parents.
    pub parents: Vec<String>,
    /// Where it stands.
    pub state: StepState,
    /// Attempts so far.
    pub attempt: u32,
    /// Failed attempts so far.
    pub failures: u32,
    /// Lost attempts so far.
    pub losses: u32,
    /// Failed attempts allowed.
    pub retry_limit: u32,
    /// Parents that have not finished well.
    pub pending_parents: u32,
    /// From when it may be claimed, if it must wait.
    pub ready_at: Option<Timestamp>,
    /// A pause covers it.
    pub paused: bool,
    /// The external handler that runs it, if no plugin does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// Who holds it, if it is leased.
    pub worker: Option<String>,
    /// The batch that holds it, if it is leased.
    pub batch: Option<BatchId>,
    /// How far it is, if it said so.
    pub progress: Option<f64>,
    /// Its note for people.
    pub note: Option<String>,
    /// What it returned, or an operator gave.
    pub output: Option<Payload>,
    /// Why its last attempt failed, unless it finished well since.
    pub failure: Option<Failure>,
    /// How long its last attempt ran, in microseconds.
    pub execution_us: Option<u64>,
}

impl TaskRecord {
    /// The task as the rules look at it, with what its recorded attempts took; without any, a step took what its last one did.
    pub fn view<'a>(&'a self, attempts: &[AttemptRecord]) -> TaskView<'a> {
        let mut times: HashMap<StepId, (Timestamp, Timestamp, u64)> = HashMap::new();
        for attempt in attempts {
            let AttemptRecord { recorded_at, execution_us, .. } = *attempt;
            let (first, last, took) =
                times.entry(attempt.step).or_insert((recorded_at, recorded_at, execution_us));
            if recorded_at < *first {
                (*first, *took) = (recorded_at, execution_us);
            }
            *last = recorded_at.max(*last);
        }
        // The first attempt, and from its record to that of the last.
        let time_us = |(first, last, took): &(Timestamp, Timestamp, u64)| {
            let between = last.since(*first).as_micros();
            took.saturating_add(u64::try_from(between).unwrap_or(u64::MAX))
        };
        let step = |step: &'a StepRecord| match times.get(&step.id) {
            Some(times) => StepView { time_us: time_us(times), ..step.view() },
            None => step.view(),
        };
        let pause =
            |pause: &'a PauseRecord| PauseView { target: &pause.target, who: &pause.who, why: &pause.why };
        TaskView {
            task: self.summary.id,
            state: self.summary.state,
            pauses: self.pauses.iter().map(pause).collect(),
            steps: self.steps_detail.iter().map(step).collect(),
        }
    }
}

impl StepRecord {
    /// The step as the rules look at it.
    pub fn view(&self) -> StepView<'_> {
        StepView {
            name: &self.name,
            parents: &self.parents,
            state: self.state,
            attempt: self.attempt,
            ready_at: self.ready_at,
            paused: self.paused,
            external: self.external.as_deref(),
            worker: self.worker.as_deref(),
            progress: self.progress,
            note: self.note.as_deref(),
            failure: self.failure.as_ref(),
            time_us: self.execution_us.unwrap_or(0),
        }
    }
}

/// A recorded attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRecord {
    /// The step.
    pub step: StepId,
    /// The step's name.
    pub step_name: String,
    /// The attempt.
    pub attempt: u32,
    /// The batch that carried it.
    pub batch: BatchId,
    /// The worker that held it.
    pub worker: WorkerId,
    /// The worker's name.
    pub worker_name: String,
    /// The component that ran.
    pub plugin: Digest,
    /// How it ended.
    pub status: AttemptStatus,
    /// Why, unless it completed.
    pub failure: Option<Failure>,
    /// The outcome's fingerprint.
    pub digest: Option<Digest>,
    /// When it started, by the worker's clock.
    pub started_at: Option<Timestamp>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// What it used beside.
    pub usage: Usage,
    /// The last lines of its log, as JSON.
    pub log: Option<Payload>,
    /// What a failed or lost attempt made of its step; `None` for lines of before that was kept.
    pub led_to: Option<StepState>,
    /// When the step was to be tried again, if it had to wait.
    pub retry_at: Option<Timestamp>,
}

/// Attempts of one step of one plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStatistics {
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub template: String,
    /// The step's name.
    pub step: String,
    /// Attempts that completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were lost.
    pub lost: u64,
    /// Half of the attempts ran at most so long, in microseconds (nearest rank).
    pub p50_us: u64,
    /// Ninety-nine of a hundred ran at most so long, in microseconds (nearest rank).
    pub p99_us: u64,
}
