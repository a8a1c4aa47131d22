//! How the whole does: figures since a moment, what was slowest, and how much stands where.
//!
//! Figures of tasks come from an index that holds every settled task by the moment it settled. Attempts have no index by time,
//! which each of them would have to pay for; their figures are read through the tasks that they belong to, the latest first, and
//! no more than [`SAMPLE`] of them. Where that does not reach back to the moment asked for, the time looked at is shortened, so
//! that the figures are exact for the time that they say they are about.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use stepwright_workflow::distribution::Distribution;
use stepwright_workflow::health::{HealthFacts, HealthScore};
use stepwright_workflow::insight::TaskContext;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, StepId, TaskId, Timestamp};

use crate::record::AttemptStatus;
use crate::{Result, Store};

/// Rows that are read at most for durations, once for settled tasks and once for those that are not: what a millisecond or two
/// can read, and enough for a p99 that rests on a hundred values.
pub const SAMPLE: u32 = 10_000;

/// The most that may be asked for of what was slowest.
pub const SLOWEST_MAX: u32 = 1_000;

/// What a person asks of the whole. Reads only.
#[async_trait]
pub trait Performance {
    /// Figures of tasks and steps since a moment.
    async fn analytics(&self, query: &AnalyticsQuery, now: Timestamp) -> Result<Analytics>;
    /// The settled tasks that took longest from their creation to their end, the slowest first; of equals the oldest first.
    async fn slowest_tasks(&self, query: &SlowestQuery) -> Result<Vec<SlowTask>>;
    /// The attempts that ran longest, the slowest first; of equals the oldest task's first.
    async fn slowest_steps(&self, query: &SlowestQuery) -> Result<SlowSteps>;
    /// How much stands where. The counts are read one after another, while the work goes on.
    async fn health(&self, now: Timestamp) -> Result<Health>;
}

/// What can be told of one task as a whole; `None` if there is none of this id.
pub async fn task_context(store: &dyn Store, task: TaskId, now: Timestamp) -> Result<Option<TaskContext>> {
    let Some(record) = store.task(task).await? else { return Ok(None) };
    let attempts = store.attempts(task).await?;
    Ok(Some(TaskContext::of(&record.view(&attempts), now)))
}

/// What to sum up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalyticsQuery {
    /// What ended then or later.
    pub since: Timestamp,
    /// Only tasks of this namespace.
    pub namespace: Option<String>,
    /// Rows that are read at most: [`SAMPLE`], unless a test says otherwise.
    pub sample: u32,
}

/// Figures since a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analytics {
    /// From when, in ms since the epoch.
    pub since: Timestamp,
    /// Until when, in ms since the epoch: when they were read.
    pub until: Timestamp,
    /// Only tasks of this namespace, if one was asked for.
    pub namespace: Option<String>,
    /// Of tasks.
    pub tasks: TaskFigures,
    /// Of steps.
    pub steps: StepFigures,
    /// Workers that are there, whatever their namespace.
    pub workers: u64,
    /// How well it does.
    pub health: HealthScore,
}

/// Figures of tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskFigures {
    /// Tasks that are `pending` or `in_progress` now.
    pub active: u64,
    /// Tasks that are in `error` now, since whenever.
    pub in_error: u64,
    /// Tasks that were created in the time looked at.
    pub created: u64,
    /// Tasks that completed in it.
    pub completed: u64,
    /// Tasks that ended in `error` in it, and still stand there.
    pub failed: u64,
    /// Tasks that were cancelled in it.
    pub cancelled: u64,
    /// Tasks that an operator declared done in it.
    pub resolved_manually: u64,
    /// Completed tasks over the seconds looked at; 0 for no time.
    pub completed_per_s: f64,
    /// Completed over all that settled (completed, failed, cancelled, resolved manually), from 0 to 1; `None` if none did.
    pub completion_rate: Option<f64>,
    /// Failed over all that settled, from 0 to 1; `None` if none did.
    pub error_rate: Option<f64>,
    /// From when the durations are, in ms since the epoch: later than `since` where more tasks completed than are read.
    pub durations_since: Timestamp,
    /// From creation to the end, in milliseconds, of tasks that completed since then.
    pub total_ms: Distribution,
    /// From the first claim to the end, in milliseconds, of the same tasks.
    pub running_ms: Distribution,
}

/// Figures of attempts, which is what a step is run in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// From when they are, in ms since the epoch: later than asked for where more attempts were recorded than are read. They are
    /// all attempts that were recorded since then, unless `sampled` is set.
    pub since: Timestamp,
    /// Tasks in progress, or one task, had more attempts than are read: these are figures of only some attempts since then.
    pub sampled: bool,
    /// Attempts that completed: as many steps did.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were lost with their workers.
    pub lost: u64,
    /// Completed steps over the seconds since then; 0 for no time.
    pub completed_per_s: f64,
    /// How long attempts ran that completed or failed, in microseconds.
    pub execution_us: Distribution,
}

/// Of what to find the slowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowestQuery {
    /// Tasks that settled, or attempts that were recorded, then or later.
    pub since: Timestamp,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of templates of this name.
    pub template: Option<String>,
    /// Only of this version of a template.
    pub version: Option<String>,
    /// At most so many; never more than [`SLOWEST_MAX`].
    pub limit: u32,
    /// Rows that are read at most for short attempts: [`SAMPLE`], unless a test says otherwise.
    pub sample: u32,
}

/// A settled task that took long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowTask {
    /// The task.
    pub task: TaskId,
    /// Its template's namespace.
    pub namespace: String,
    /// Its template's name.
    pub template: String,
    /// Its template's version.
    pub version: String,
    /// Where it stands.
    pub state: TaskState,
    /// When it was created, in ms since the epoch.
    pub created_at: Timestamp,
    /// When its first step was claimed, in ms since the epoch; `None` if none was.
    pub started_at: Option<Timestamp>,
    /// When it settled, in ms since the epoch.
    pub finished_at: Timestamp,
    /// From its creation to its end, in milliseconds.
    pub total_ms: u64,
    /// From its first claim to its end, in milliseconds; `None` if no step was claimed.
    pub running_ms: Option<u64>,
    /// How many steps it has.
    pub steps: u64,
    /// How many attempts were recorded of them.
    pub attempts: u64,
}

/// Attempts that ran long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowSteps {
    /// From when all attempts were looked at, in ms since the epoch: later than asked for where more were recorded than are read.
    /// Of the time before, only attempts of a second or longer.
    pub since: Timestamp,
    /// Tasks in progress, or one task, had more attempts than are read: shorter attempts than a second may be missing.
    pub sampled: bool,
    /// The slowest first.
    pub steps: Vec<SlowStep>,
}

/// An attempt that ran long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowStep {
    /// The task.
    pub task: TaskId,
    /// Its template's namespace.
    pub namespace: String,
    /// Its template's name.
    pub template: String,
    /// Its template's version.
    pub version: String,
    /// The step.
    pub step: StepId,
    /// The step's name.
    pub step_name: String,
    /// Where the step stands now.
    pub state: StepState,
    /// Which attempt it was.
    pub attempt: u32,
    /// How many attempts the step has had.
    pub attempts: u32,
    /// How it ended.
    pub status: AttemptStatus,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time of it, in microseconds.
    pub cpu_us: u64,
    /// When it was recorded, in ms since the epoch.
    pub recorded_at: Timestamp,
    /// The batch that carried it.
    pub batch: BatchId,
    /// The name of the worker that ran it.
    pub worker: String,
    /// The plugin that it ran.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
}

/// How much stands where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// When it was read, in ms since the epoch.
    pub at: Timestamp,
    /// How many tasks stand in each state; states without tasks are left out.
    pub tasks: BTreeMap<TaskState, u64>,
    /// How many steps of tasks that are not final stand in each state; states without steps are left out.
    pub steps: BTreeMap<StepState, u64>,
    /// Steps of these tasks that have failed.
    pub failures: FailureCounts,
    /// Steps that are ready.
    pub queue: QueueCounts,
    /// Workers that are there.
    pub workers: u64,
    /// Steps that these can run at once.
    pub slots: u64,
    /// Orchestrators that were seen in the last minute.
    pub orchestrators: u64,
    /// Connections to the database.
    pub connections: Connections,
}

/// Steps that have failed, of tasks that are not final. Each is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FailureCounts {
    /// An attempt failed, and the step is tried again by itself: it is ready, or a worker has it.
    pub retryable: u64,
    /// In `error`: as many attempts failed as its retry policy allows.
    pub exhausted: u64,
    /// In `error` for another reason: the failure was permanent, or workers were lost with it too often.
    pub permanent: u64,
}

/// Steps that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct QueueCounts {
    /// Could be claimed now.
    pub claimable: u64,
    /// Wait for their next attempt: its moment lies ahead.
    pub in_backoff: u64,
    /// Wait for the moment that their task was started for.
    pub delayed: u64,
    /// Were found to be covered by a pause, and set aside.
    pub parked: u64,
}

/// Connections to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Connections {
    /// This process's own that are open.
    pub open: u64,
    /// Those of them that do nothing.
    pub idle: u64,
    /// How many this process may open.
    pub max: u64,
    /// Everybody's to this database, where there is a server.
    pub server_open: Option<u64>,
    /// How many the server accepts, for all its databases, where there is one.
    pub server_max: Option<u64>,
}

/// How long an orchestrator may be silent and is still counted, in milliseconds.
pub const ORCHESTRATOR_SILENT_MS: i64 = 60_000;

/// What an engine read for [`Performance::analytics`].
#[derive(Debug, Clone, Default)]
pub struct AnalyticsReadings {
    /// Counts.
    pub counts: TaskCounts,
    /// The newest completed tasks: when each settled, and how long it took from its creation and from its first claim, in
    /// milliseconds. In whichever order; at most as many as the query's sample.
    pub durations: Vec<(Timestamp, u64, Option<u64>)>,
    /// Attempts of tasks in progress, the newest tasks first: at most as many as the query's sample.
    pub running: Vec<SampledAttempt>,
    /// Rows for tasks that settled, the latest first: their attempts, or one without for a task that has none. At most as many
    /// as the query's sample.
    pub settled: Vec<SampledAttempt>,
}

/// Counts of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields are those of `TaskFigures` and `HealthFacts`")]
pub struct TaskCounts {
    pub active: u64,
    pub in_error: u64,
    pub created: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub resolved_manually: u64,
    pub claimable: bool,
    pub workers: u64,
}

/// An attempt, as far as figures need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledAttempt {
    /// When its task settled, if it has.
    pub settled_at: Option<Timestamp>,
    /// When it was recorded, how long it ran in microseconds, and how it ended; `None` for a task without attempts.
    pub line: Option<(Timestamp, u64, AttemptStatus)>,
}

impl Analytics {
    /// What the readings come to.
    pub fn of(query: &AnalyticsQuery, now: Timestamp, readings: AnalyticsReadings) -> Self {
        let AnalyticsReadings { counts, durations, running, settled } = readings;
        let TaskCounts { completed, failed, active, in_error, claimable, workers, .. } = counts;
        let facts = HealthFacts { completed, failed, active, in_error, claimable, workers };
        Self {
            since: query.since,
            until: now,
            namespace: query.namespace.clone(),
            tasks: task_figures(query, now, counts, &durations),
            steps: step_figures(query, now, &running, &settled),
            workers,
            health: HealthScore::of(facts),
        }
    }
}

fn task_figures(
    query: &AnalyticsQuery,
    now: Timestamp,
    counts: TaskCounts,
    durations: &[(Timestamp, u64, Option<u64>)],
) -> TaskFigures {
    let TaskCounts { active, in_error, created, completed, failed, cancelled, resolved_manually, .. } =
        counts;
    let all = completed + failed + cancelled + resolved_manually;
    let rate = |part: u64| (all > 0).then(|| part as f64 / all as f64);
    let full = durations.len() >= query.sample as usize;
    let oldest = durations.iter().map(|(settled, ..)| *settled).min().filter(|_| full);
    let mut durations_since = oldest.map_or(query.since, just_after);
    if durations.iter().all(|(settled, ..)| *settled < durations_since) {
        // All of them settled at the same moment.
        durations_since = oldest.unwrap_or(query.since);
    }
    let counted = || durations.iter().filter(|(settled, ..)| *settled >= durations_since);
    TaskFigures {
        active,
        in_error,
        created,
        completed,
        failed,
        cancelled,
        resolved_manually,
        completed_per_s: per_second(completed, query.since, now),
        completion_rate: rate(completed),
        error_rate: rate(failed),
        durations_since,
        total_ms: Distribution::of(counted().map(|(_, total, _)| *total).collect()),
        running_ms: Distribution::of(counted().filter_map(|(.., running)| *running).collect()),
    }
}

fn step_figures(
    query: &AnalyticsQuery,
    now: Timestamp,
    running: &[SampledAttempt],
    settled: &[SampledAttempt],
) -> StepFigures {
    let sample = query.sample as usize;
    let last = settled.iter().filter_map(|row| row.settled_at).min().filter(|_| settled.len() >= sample);
    // Whatever was recorded after the last task settled is of a task that settled later, or not at all: all of it was read.
    let narrowed = last.map_or(query.since, just_after).max(query.since);
    let lines = || running.iter().chain(settled).filter_map(|row| row.line);
    let empty = last.is_some() && !settled.iter().filter_map(|row| row.line).any(|(at, ..)| at >= narrowed);
    let since = if empty { query.since } else { narrowed };
    let of = |wanted: AttemptStatus| {
        lines().filter(|(at, _, status)| *at >= since && *status == wanted).count() as u64
    };
    let ran = lines().filter(|(at, _, status)| *at >= since && *status != AttemptStatus::Lost);
    let completed = of(AttemptStatus::Completed);
    StepFigures {
        since,
        sampled: empty || running.len() >= sample,
        completed,
        failed: of(AttemptStatus::Failed),
        lost: of(AttemptStatus::Lost),
        completed_per_s: per_second(completed, since, now),
        execution_us: Distribution::of(ran.map(|(_, us, _)| us).collect()),
    }
}

fn just_after(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_add(1))
}

fn per_second(count: u64, since: Timestamp, now: Timestamp) -> f64 {
    let seconds = now.since(since).as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
