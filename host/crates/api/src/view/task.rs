//! Tasks and their steps: listed, shown, started.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store::{StepRecord, TaskRecord};
use stepwright_workflow::insight::{self, TaskContext};
use stepwright_workflow::{Plan, StepId, Timestamp};
use utoipa::ToSchema;

use super::{Json, Pause, word};

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
    /// A record at this moment.
    pub(crate) fn of(record: TaskRecord, now: Timestamp) -> Self {
        let context = TaskContext::of(&record.view(&[]), now);
        Self {
            summary: record.summary.into(),
            context: Json(record.context),
            tags: record.tags.into_iter().collect(),
            pauses: record.pauses.into_iter().map(Pause::from).collect(),
            execution_status: context.execution_status.into(),
            recommended_action: context.recommended_action.into(),
            completion_percent: context.completion_percent,
            reasons: context.reasons.into_iter().map(StepReason::from).collect(),
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

impl From<insight::StepReason> for StepReason {
    fn from(reason: insight::StepReason) -> Self {
        Self { step: reason.step, why: reason.why, advice: reason.advice }
    }
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
    /// The external handler that runs it, if no plugin does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
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
            external: step.external,
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
