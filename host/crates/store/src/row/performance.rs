//! Rows of what is asked of the whole.

use std::collections::{BTreeMap, BTreeSet};

use stepwright_workflow::{BatchId, Plan, PlanId, StepId, TaskId, Timestamp};

use crate::column::{inconsistent, number, parsed};
use crate::performance::{
    AnalyticsReadings, FailureCounts, QueueCounts, SampledAttempt, SlowStep, SlowSteps, SlowTask, TaskCounts,
};
use crate::record::AttemptStatus;
use crate::{Result, StoreError};

/// Counts of tasks.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `TaskCounts`")]
pub struct TaskCountsRow {
    pub active: i64,
    pub in_error: i64,
    pub created: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub resolved_manually: i64,
    pub claimable: bool,
    pub workers: i64,
}

impl TaskCountsRow {
    /// What the row says.
    pub fn counts(&self) -> Result<TaskCounts> {
        let count = |value: i64| number("count of tasks", value);
        Ok(TaskCounts {
            active: count(self.active)?,
            in_error: count(self.in_error)?,
            created: count(self.created)?,
            completed: count(self.completed)?,
            failed: count(self.failed)?,
            cancelled: count(self.cancelled)?,
            resolved_manually: count(self.resolved_manually)?,
            claimable: self.claimable,
            workers: number("count of workers", self.workers)?,
        })
    }
}

/// A task that completed: when it settled, and how long it took from its creation and from its first claim.
pub type DurationColumns = (i64, i64, Option<i64>);
/// An attempt of a task under way: when it was recorded, how long it ran, how it ended.
pub type RunningColumns = (i64, i64, AttemptStatus);
/// An attempt of a settled task, after the moment at which it settled; empty if the task has none.
pub type SettledColumns = (i64, Option<i64>, Option<i64>, Option<AttemptStatus>);

/// What the columns say. Orchestrators' clocks differ: what would have ended before it began took no time.
pub fn readings(
    counts: TaskCounts,
    durations: impl IntoIterator<Item = DurationColumns>,
    running: impl IntoIterator<Item = RunningColumns>,
    settled: impl IntoIterator<Item = SettledColumns>,
) -> Result<AnalyticsReadings> {
    let durations = durations
        .into_iter()
        .map(|(settled, total, ran)| (Timestamp(settled), length(total), ran.map(length)));
    let running = running.into_iter().map(|(at, us, status)| attempt(None, Some(at), Some(us), Some(status)));
    let settled = settled.into_iter().map(|(settled, at, us, status)| attempt(Some(settled), at, us, status));
    Ok(AnalyticsReadings {
        counts,
        durations: durations.collect(),
        running: running.collect::<Result<_>>()?,
        settled: settled.collect::<Result<_>>()?,
    })
}

fn length(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

fn attempt(
    settled_at: Option<i64>,
    recorded_at: Option<i64>,
    execution_us: Option<i64>,
    status: Option<AttemptStatus>,
) -> Result<SampledAttempt> {
    let line = match (recorded_at, execution_us, status) {
        (Some(at), Some(us), Some(status)) => {
            Some((Timestamp(at), number("attempts.execution_us", us)?, status))
        }
        _ => None,
    };
    Ok(SampledAttempt { settled_at: settled_at.map(Timestamp), line })
}

/// A settled task that took long.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `SlowTask`")]
pub struct SlowTaskRow {
    pub id: i64,
    pub namespace: String,
    pub template: String,
    pub version: String,
    pub state: String,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: i64,
    pub steps: i64,
    pub attempts: i64,
}

impl SlowTaskRow {
    /// What the row says.
    pub fn task(self) -> Result<SlowTask> {
        Ok(SlowTask {
            task: TaskId(self.id),
            namespace: self.namespace,
            template: self.template,
            version: self.version,
            state: parsed("tasks.state", &self.state)?,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            finished_at: Timestamp(self.finished_at),
            total_ms: length(self.finished_at - self.created_at),
            running_ms: self.started_at.map(|started| length(self.finished_at - started)),
            steps: number("count of steps", self.steps)?,
            attempts: number("count of attempts", self.attempts)?,
        })
    }
}

/// An attempt that ran long, or none at all.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `SlowSteps` and `SlowStep`")]
pub struct SlowStepRow {
    pub since: i64,
    pub sampled: bool,
    pub step_id: Option<i64>,
    pub plan_id: Option<i64>,
    pub state: Option<String>,
    pub attempt: Option<i64>,
    pub attempts: Option<i64>,
    pub status: Option<String>,
    pub execution_us: Option<i64>,
    pub cpu_us: Option<i64>,
    pub recorded_at: Option<i64>,
    pub batch_id: Option<i64>,
    pub worker: Option<String>,
}

impl SlowStepRow {
    /// The plans that these rows name.
    pub fn plans(rows: &[Self]) -> BTreeSet<PlanId> {
        rows.iter().filter_map(|row| row.plan_id).map(PlanId).collect()
    }

    /// What the rows say, with these plans. There is one at least.
    pub fn steps(rows: Vec<Self>, plans: &BTreeMap<PlanId, Plan>) -> Result<SlowSteps> {
        let first = rows.first().map(|row| (Timestamp(row.since), row.sampled));
        let (since, sampled) = first
            .ok_or_else(|| StoreError::Inconsistent("the slowest steps came without a row".to_owned()))?;
        let found = rows.into_iter().filter(|row| row.step_id.is_some());
        let steps = found.map(|row| row.step(plans)).collect::<Result<_>>()?;
        Ok(SlowSteps { since, sampled, steps })
    }

    fn step(self, plans: &BTreeMap<PlanId, Plan>) -> Result<SlowStep> {
        let missing = |what: &'static str| move || inconsistent(what, "nothing");
        let step = StepId(self.step_id.ok_or_else(missing("attempts.step_id"))?);
        let plan = PlanId(self.plan_id.ok_or_else(missing("steps.plan_id"))?);
        let plan =
            plans.get(&plan).ok_or_else(|| StoreError::Inconsistent(format!("plan {plan} is not stored")))?;
        let planned = plan.step(step.position());
        let planned = planned
            .ok_or_else(|| StoreError::Inconsistent(format!("step {step} is not in its task's plan")))?;
        let value = |what: &'static str, value: Option<i64>| value.ok_or_else(missing(what));
        Ok(SlowStep {
            task: step.task(),
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            version: plan.version.clone(),
            step,
            step_name: planned.name.clone(),
            state: parsed("steps.state", &self.state.unwrap_or_default())?,
            attempt: number("attempts.attempt", value("attempts.attempt", self.attempt)?)?,
            attempts: number("steps.attempt", value("steps.attempt", self.attempts)?)?,
            status: parsed("attempts.status", &self.status.unwrap_or_default())?,
            execution_us: number(
                "attempts.execution_us",
                value("attempts.execution_us", self.execution_us)?,
            )?,
            cpu_us: number("attempts.cpu_us", value("attempts.cpu_us", self.cpu_us)?)?,
            recorded_at: Timestamp(value("attempts.recorded_at", self.recorded_at)?),
            batch: BatchId(value("attempts.batch_id", self.batch_id)?),
            worker: self.worker.unwrap_or_default(),
            plugin: planned.plugin.clone(),
            plugin_version: planned.plugin_version.clone(),
        })
    }
}

/// Steps of unfinished tasks in one state.
#[derive(Debug)]
#[allow(missing_docs, reason = "a state, its steps, and those of them with a failed attempt")]
pub struct StepCountRow {
    pub state: String,
    pub count: i64,
    pub failed: i64,
}

/// Steps of unfinished tasks in `error`, of one place in one plan, after the same number of failures.
#[derive(Debug)]
#[allow(missing_docs, reason = "a place in a plan, failed attempts, and how many steps")]
pub struct ErrorCountRow {
    pub plan_id: i64,
    pub position: i64,
    pub failures: i64,
    pub count: i64,
}

/// What is ready, and who is there.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `QueueCounts` and `Health`")]
pub struct QueueRow {
    pub claimable: i64,
    pub in_backoff: i64,
    pub delayed: i64,
    pub parked: i64,
    pub workers: i64,
    pub slots: i64,
    pub orchestrators: i64,
    pub server_open: Option<i64>,
    pub server_max: Option<i64>,
}

impl QueueRow {
    /// What is ready.
    pub fn counts(&self) -> Result<QueueCounts> {
        Ok(QueueCounts {
            claimable: number("count of steps", self.claimable)?,
            in_backoff: number("count of steps", self.in_backoff)?,
            delayed: number("count of steps", self.delayed)?,
            parked: number("count of steps", self.parked)?,
        })
    }
}

impl ErrorCountRow {
    /// The plans that these rows name.
    pub fn plans(rows: &[Self]) -> BTreeSet<PlanId> {
        rows.iter().map(|row| PlanId(row.plan_id)).collect()
    }
}

/// What has failed, with the plans that say how often it may.
pub fn failures(
    steps: &[StepCountRow],
    errors: &[ErrorCountRow],
    plans: &BTreeMap<PlanId, Plan>,
) -> Result<FailureCounts> {
    let mut counts = FailureCounts::default();
    for row in steps.iter().filter(|row| matches!(row.state.as_str(), "ready" | "leased" | "in_progress")) {
        counts.retryable += number::<u64>("count of steps", row.failed)?;
    }
    for row in errors {
        let position: u16 = number("the position of a step", row.position)?;
        let planned = plans.get(&PlanId(row.plan_id)).and_then(|plan| plan.step(position));
        let planned = planned.ok_or_else(|| {
            StoreError::Inconsistent(format!("step {position} is not in plan {}", row.plan_id))
        })?;
        let count: u64 = number("count of steps", row.count)?;
        if row.failures >= i64::from(planned.retry.limit) {
            counts.exhausted += count;
        } else {
            counts.permanent += count;
        }
    }
    Ok(counts)
}
