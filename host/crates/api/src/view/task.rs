//! Tasks, their steps, and what happened to them.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store::{AttemptRecord, PauseRecord, StepRecord, TaskRecord, Usage};
use stepwright_workflow::finalize::{StepGlance, completion_percent, summarise};
use stepwright_workflow::{Plan, StepId, Timestamp};
use utoipa::ToSchema;

use super::{Json, word};

/// A task in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskSummary {
    /// The task.
    pub id: i64,
    /// What it runs.
    pub plan: i64,
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub template: String,
    /// The template's version.
    pub version: String,
    /// Where it stands.
    pub state: word::TaskState,
    /// Higher is claimed first.
    pub priority: i32,
    /// The key it was started with.
    pub idempotency_key: Option<String>,
    /// When it was created, in milliseconds since 1970-01-01T00:00:00Z, like every moment here.
    pub created_at: i64,
    /// When its first step was claimed.
    pub started_at: Option<i64>,
    /// When it settled.
    pub finished_at: Option<i64>,
    /// How many steps it has.
    pub steps: u32,
    /// How many of them finished well.
    pub steps_finished: u32,
    /// How many of them are in error.
    pub steps_in_error: u32,
}

impl From<stepwright_store::TaskSummary> for TaskSummary {
    fn from(task: stepwright_store::TaskSummary) -> Self {
        Self {
            id: task.id.0,
            plan: task.plan.0,
            namespace: task.namespace,
            template: task.template,
            version: task.version,
            state: task.state.into(),
            priority: task.priority,
            idempotency_key: task.idempotency_key,
            created_at: task.created_at.0,
            started_at: task.started_at.map(|at| at.0),
            finished_at: task.finished_at.map(|at| at.0),
            steps: task.steps,
            steps_finished: task.steps_finished,
            steps_in_error: task.steps_in_error,
        }
    }
}

/// Tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskList {
    /// They.
    pub tasks: Vec<TaskSummary>,
    /// What to ask for as `before` to get the next page; null on the last one.
    pub next: Option<i64>,
}

/// A task with all that is known about its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Task {
    /// The task.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// What it was started with.
    pub context: Json,
    /// Its labels.
    pub tags: BTreeMap<String, String>,
    /// The pauses that cover it, or some of its steps.
    pub pauses: Vec<Pause>,
    /// What it does at this moment.
    pub execution_status: word::ExecutionStatus,
    /// What to do about it.
    pub recommended_action: word::RecommendedAction,
    /// The share of its steps that finished well, in percent.
    #[schema(maximum = 100)]
    pub completion_percent: u8,
    /// Steps that wait, run or failed, and why.
    pub reasons: Vec<StepReason>,
    /// Its steps, by position.
    pub steps_detail: Vec<Step>,
}

impl Task {
    /// A record at this moment, with what the host says of it.
    pub(crate) fn of(record: TaskRecord, reasons: Vec<StepReason>, now: Timestamp) -> Self {
        let glance =
            |step: &StepRecord| StepGlance { state: step.state, ready_at: step.ready_at, paused: step.paused };
        let glances: Vec<StepGlance> = record.steps_detail.iter().map(glance).collect();
        let (status, action) = summarise(record.summary.state, &glances, now);
        Self {
            summary: record.summary.into(),
            context: Json(record.context),
            tags: record.tags.into_iter().collect(),
            pauses: record.pauses.into_iter().map(Pause::from).collect(),
            execution_status: status.into(),
            recommended_action: action.into(),
            completion_percent: completion_percent(&glances),
            reasons,
            steps_detail: record.steps_detail.into_iter().map(Step::from).collect(),
        }
    }
}

/// A task that was waited for.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitedTask {
    /// Whether it has settled: it is complete, cancelled, resolved or in error.
    pub settled: bool,
    /// As it is now.
    #[serde(flatten)]
    pub task: Task,
}

/// Why a step is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepReason {
    /// The step's name.
    pub step: String,
    /// What it waits for, what it does, or why it failed; for people.
    pub why: String,
    /// What to do about it, where there is something to do; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A step with its last attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    /// The step.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Names of its parents.
    pub parents: Vec<String>,
    /// Where it stands.
    pub state: word::StepState,
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
    pub ready_at: Option<i64>,
    /// A pause covers it.
    pub paused: bool,
    /// Who holds it, if it is leased.
    pub worker: Option<String>,
    /// The batch that holds it, if it is leased.
    pub batch: Option<i64>,
    /// How far it is, from 0 to 1, if it said so.
    pub progress: Option<f64>,
    /// Its note for people.
    pub note: Option<String>,
    /// What it returned, or an operator gave; null if there is nothing.
    #[schema(value_type = Json)]
    pub output: Option<Json>,
    /// Why its last attempt failed, unless it finished well since.
    pub failure: Option<Failure>,
    /// How long its last attempt ran, in microseconds.
    pub execution_us: Option<u64>,
}

impl From<StepRecord> for Step {
    fn from(step: StepRecord) -> Self {
        Self {
            id: step.id.0,
            name: step.name,
            parents: step.parents,
            state: step.state.into(),
            attempt: step.attempt,
            failures: step.failures,
            losses: step.losses,
            retry_limit: step.retry_limit,
            pending_parents: step.pending_parents,
            ready_at: step.ready_at.map(|at| at.0),
            paused: step.paused,
            worker: step.worker,
            batch: step.batch.map(|batch| batch.0),
            progress: step.progress,
            note: step.note,
            output: step.output.map(Json),
            failure: step.failure.map(Failure::from),
            execution_us: step.execution_us,
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: word::FailureClass,
    /// The plugin's own code, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    pub message: String,
    /// More, if the plugin gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Json, required = false)]
    pub details: Option<Json>,
    /// When the plugin wants to be tried again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether another attempt may help.
    pub retryable: bool,
}

impl From<stepwright_workflow::Failure> for Failure {
    fn from(failure: stepwright_workflow::Failure) -> Self {
        Self {
            class: failure.class.into(),
            code: failure.code,
            message: failure.message,
            details: failure.details.map(Json),
            retry_after_ms: failure.retry_after_ms,
            retryable: failure.retryable,
        }
    }
}

/// A mark under which nothing new begins.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pause {
    /// What is paused.
    pub target: PausedThing,
    /// Since when.
    pub since: i64,
    /// Who paused it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// What is paused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PausedThing {
    /// What kind of thing.
    pub kind: word::PauseKind,
    /// Its name: a task's number, `namespace/name`, a namespace, or a digest.
    pub name: String,
}

impl From<PauseRecord> for Pause {
    fn from(pause: PauseRecord) -> Self {
        let target = PausedThing { kind: pause.target.scope().into(), name: pause.target.name() };
        Self { target, since: pause.since.0, by: pause.who, reason: pause.why }
    }
}

/// Everything that is paused.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseList {
    /// The oldest first.
    pub pauses: Vec<Pause>,
}

/// What was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseChange {
    /// It.
    pub target: PausedThing,
    /// Whether this changed anything.
    pub changed: bool,
}

/// A task that was started, or had been with the same idempotency key.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedTask {
    /// The task.
    pub id: i64,
    /// Whether it is new.
    pub created: bool,
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub template: String,
    /// The template's version.
    pub version: String,
    /// Where it stands.
    pub state: word::TaskState,
    /// Its steps, by position.
    pub steps: Vec<StartedStep>,
}

/// A step of a task that was started.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedStep {
    /// The step.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The handler that runs it.
    pub handler: String,
    /// Names of its parents.
    pub parents: Vec<String>,
    /// Where it stands.
    pub state: word::StepState,
}

impl StartedTask {
    /// A task of a plan, whose steps stand so.
    pub(crate) fn of(
        (task, created): (stepwright_workflow::TaskId, bool),
        plan: &Plan,
        state: stepwright_workflow::task::TaskState,
        step_state: impl Fn(u16) -> stepwright_workflow::step::StepState,
    ) -> Self {
        let name = |position: &u16| plan.step(*position).map(|step| step.name.clone());
        let step = |(position, step): (u16, &stepwright_workflow::PlanStep)| StartedStep {
            id: StepId::new(task, position).0,
            name: step.name.clone(),
            handler: step.handler.clone(),
            parents: step.parents.iter().filter_map(name).collect(),
            state: step_state(position).into(),
        };
        Self {
            id: task.0,
            created,
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            version: plan.version.clone(),
            state: state.into(),
            steps: (0_u16..).zip(&plan.steps).map(step).collect(),
        }
    }
}

/// Tasks that were started together, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedTasks {
    /// They.
    pub tasks: Vec<StartedOne>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedOne {
    /// The task.
    pub id: i64,
    /// Whether it is new.
    pub created: bool,
}

/// Every recorded attempt of a task's steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptList {
    /// By step and attempt.
    pub attempts: Vec<Attempt>,
}

/// A recorded attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attempt {
    /// The step.
    pub step: i64,
    /// The step's name.
    pub step_name: String,
    /// The attempt.
    pub attempt: u32,
    /// The batch that carried it.
    pub batch: i64,
    /// The worker that held it.
    pub worker: i64,
    /// The worker's name.
    pub worker_name: String,
    /// The component that ran.
    pub plugin: String,
    /// How it ended.
    pub status: word::AttemptStatus,
    /// Why, unless it completed.
    pub failure: Option<Failure>,
    /// The outcome's fingerprint.
    pub digest: Option<String>,
    /// When it started, by the worker's clock.
    pub started_at: Option<i64>,
    /// When it was recorded.
    pub recorded_at: i64,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// What it used beside.
    pub usage: AttemptUsage,
    /// The last lines of its log; null if there are none.
    #[schema(value_type = Json)]
    pub log: Option<Json>,
    /// What a failed or lost attempt made of its step.
    pub led_to: Option<word::StepState>,
    /// When the step was to be tried again, if it had to wait.
    pub retry_at: Option<i64>,
}

/// What an attempt used beside time and memory.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptUsage {
    /// Payload bytes handed in.
    pub bytes_in: u64,
    /// Payload bytes handed out.
    pub bytes_out: u64,
    /// Calls to the host's own interfaces.
    pub host_calls: u64,
    /// HTTP requests that went out.
    pub http_calls: u64,
    /// Bytes of their bodies.
    pub http_bytes_out: u64,
    /// Bytes of the responses' bodies.
    pub http_bytes_in: u64,
    /// Bytes written to files.
    pub file_bytes_written: u64,
}

impl From<Usage> for AttemptUsage {
    fn from(usage: Usage) -> Self {
        let Usage { bytes_in, bytes_out, host_calls, http_calls, http_bytes_out, http_bytes_in, file_bytes_written } =
            usage;
        Self { bytes_in, bytes_out, host_calls, http_calls, http_bytes_out, http_bytes_in, file_bytes_written }
    }
}

impl From<AttemptRecord> for Attempt {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            step: attempt.step.0,
            step_name: attempt.step_name,
            attempt: attempt.attempt,
            batch: attempt.batch.0,
            worker: attempt.worker.0,
            worker_name: attempt.worker_name,
            plugin: attempt.plugin.to_string(),
            status: attempt.status.into(),
            failure: attempt.failure.map(Failure::from),
            digest: attempt.digest.map(|digest| digest.to_string()),
            started_at: attempt.started_at.map(|at| at.0),
            recorded_at: attempt.recorded_at.0,
            execution_us: attempt.execution_us,
            cpu_us: attempt.cpu_us,
            memory_bytes_peak: attempt.memory_bytes_peak,
            usage: attempt.usage.into(),
            log: attempt.log.map(Json),
            led_to: attempt.led_to.map(word::StepState),
            retry_at: attempt.retry_at.map(|at| at.0),
        }
    }
}

/// Everything that ever happened to a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// The task.
    pub task: i64,
    /// Oldest first.
    pub history: Vec<HistoryEvent>,
}

/// One line of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HistoryEvent {
    /// When.
    pub at: i64,
    /// What kind of thing happened: created, operator, claimed, completed, failed, lost, lease_lost, duplicate, late, discrepancy,
    /// repaired, batch_closed or settled.
    pub kind: String,
    /// The step's name.
    pub step: Option<String>,
    /// The attempt.
    pub attempt: Option<u32>,
    /// The batch.
    pub batch: Option<i64>,
    /// The worker's name.
    pub worker: Option<String>,
    /// The worker's incarnation.
    pub incarnation: Option<String>,
    /// The component's digest.
    pub plugin: Option<String>,
    /// What happened; for people.
    pub what: String,
    /// What it changed; for people.
    pub changed: String,
}
