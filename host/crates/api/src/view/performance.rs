//! How the whole does, and how one task does.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store as store;
use stepwright_workflow::distribution;
use stepwright_workflow::health;
use stepwright_workflow::insight::{self, BottleneckKind};
use utoipa::ToSchema;

use super::{StepReason, word};

/// Measurements summed up, by nearest rank. The unit is in the name of the field that holds this; all are 0 where there is none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Distribution {
    /// How many values there are.
    pub count: u64,
    /// Their mean, rounded down.
    pub mean: u64,
    /// Half of the values are at most this.
    pub p50: u64,
    /// Ninety-five of a hundred values are at most this.
    pub p95: u64,
    /// Ninety-nine of a hundred values are at most this.
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

impl From<distribution::Distribution> for Distribution {
    fn from(of: distribution::Distribution) -> Self {
        let distribution::Distribution { count, mean, p50, p95, p99, max } = of;
        Self { count, mean, p50, p95, p99, max }
    }
}

/// How well the system does: five tenths success, three tenths flow, two tenths staffing. All are from 0 to 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthScore {
    /// All of it.
    #[schema(maximum = 100)]
    pub score: u8,
    /// Of the tasks that completed or ended in error in the time looked at, the per cent that completed; 100 if there were none.
    #[schema(maximum = 100)]
    pub success: u8,
    /// Of the tasks that are unfinished now, the per cent that are not in error; 100 if there are none.
    #[schema(maximum = 100)]
    pub flow: u8,
    /// 0 if a step could be claimed now and no worker is there, else 100.
    #[schema(maximum = 100)]
    pub staffing: u8,
}

impl From<health::HealthScore> for HealthScore {
    fn from(of: health::HealthScore) -> Self {
        let health::HealthScore { score, success, flow, staffing } = of;
        Self { score, success, flow, staffing }
    }
}

/// Figures since a moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Analytics {
    /// From when.
    pub since: i64,
    /// Until when: when they were read.
    pub until: i64,
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
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskFigures {
    /// Tasks that are pending or in progress now.
    pub active: u64,
    /// Tasks that are in error now, since whenever.
    pub in_error: u64,
    /// Tasks that were created in the time looked at.
    pub created: u64,
    /// Tasks that completed in it.
    pub completed: u64,
    /// Tasks that ended in error in it, and still stand there.
    pub failed: u64,
    /// Tasks that were cancelled in it.
    pub cancelled: u64,
    /// Tasks that an operator declared done in it.
    pub resolved_manually: u64,
    /// Completed tasks over the seconds looked at.
    pub completed_per_s: f64,
    /// Completed over all that settled, from 0 to 1; null if none did.
    pub completion_rate: Option<f64>,
    /// Failed over all that settled, from 0 to 1; null if none did.
    pub error_rate: Option<f64>,
    /// From when the durations are: later than `since` where more tasks completed than are read.
    pub durations_since: i64,
    /// From creation to the end, in milliseconds, of tasks that completed since then.
    pub total_ms: Distribution,
    /// From the first claim to the end, in milliseconds, of the same tasks.
    pub running_ms: Distribution,
}

/// Figures of attempts, which is what a step is run in.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepFigures {
    /// From when they are: later than asked for where more attempts were recorded than are read.
    pub since: i64,
    /// Tasks in progress had more attempts than are read: these are figures of only some attempts since then.
    pub sampled: bool,
    /// Attempts that completed: as many steps did.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were lost with their workers.
    pub lost: u64,
    /// Completed steps over the seconds since then.
    pub completed_per_s: f64,
    /// How long attempts ran that completed or failed, in microseconds.
    pub execution_us: Distribution,
}

impl From<store::Analytics> for Analytics {
    fn from(of: store::Analytics) -> Self {
        let (tasks, steps) = (of.tasks, of.steps);
        Self {
            since: of.since.0,
            until: of.until.0,
            namespace: of.namespace,
            tasks: TaskFigures {
                active: tasks.active,
                in_error: tasks.in_error,
                created: tasks.created,
                completed: tasks.completed,
                failed: tasks.failed,
                cancelled: tasks.cancelled,
                resolved_manually: tasks.resolved_manually,
                completed_per_s: tasks.completed_per_s,
                completion_rate: tasks.completion_rate,
                error_rate: tasks.error_rate,
                durations_since: tasks.durations_since.0,
                total_ms: tasks.total_ms.into(),
                running_ms: tasks.running_ms.into(),
            },
            steps: StepFigures {
                since: steps.since.0,
                sampled: steps.sampled,
                completed: steps.completed,
                failed: steps.failed,
                lost: steps.lost,
                completed_per_s: steps.completed_per_s,
                execution_us: steps.execution_us.into(),
            },
            workers: of.workers,
            health: of.health.into(),
        }
    }
}

/// Settled tasks that took long.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowTaskList {
    /// The slowest first.
    pub tasks: Vec<SlowTask>,
}

/// A settled task that took long.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowTask {
    /// The task.
    pub task: i64,
    /// Its template's namespace.
    pub namespace: String,
    /// Its template's name.
    pub template: String,
    /// Its template's version.
    pub version: String,
    /// Where it stands.
    pub state: word::TaskState,
    /// When it was created.
    pub created_at: i64,
    /// When its first step was claimed; null if none was.
    pub started_at: Option<i64>,
    /// When it settled.
    pub finished_at: i64,
    /// From its creation to its end, in milliseconds.
    pub total_ms: u64,
    /// From its first claim to its end, in milliseconds; null if no step was claimed.
    pub running_ms: Option<u64>,
    /// How many steps it has.
    pub steps: u64,
    /// How many attempts were recorded of them.
    pub attempts: u64,
}

impl From<store::SlowTask> for SlowTask {
    fn from(of: store::SlowTask) -> Self {
        Self {
            task: of.task.0,
            namespace: of.namespace,
            template: of.template,
            version: of.version,
            state: of.state.into(),
            created_at: of.created_at.0,
            started_at: of.started_at.map(|at| at.0),
            finished_at: of.finished_at.0,
            total_ms: of.total_ms,
            running_ms: of.running_ms,
            steps: of.steps,
            attempts: of.attempts,
        }
    }
}

/// Attempts that ran long.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowStepList {
    /// From when all attempts were looked at: later than asked for where more were recorded than are read. Of the time before, only
    /// attempts of a second or longer.
    pub since: i64,
    /// Tasks in progress had more attempts than are read: shorter attempts than a second may be missing.
    pub sampled: bool,
    /// The slowest first.
    pub steps: Vec<SlowStep>,
}

/// An attempt that ran long.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowStep {
    /// The task.
    pub task: i64,
    /// Its template's namespace.
    pub namespace: String,
    /// Its template's name.
    pub template: String,
    /// Its template's version.
    pub version: String,
    /// The step.
    pub step: i64,
    /// The step's name.
    pub step_name: String,
    /// Where the step stands now.
    pub state: word::StepState,
    /// Which attempt it was.
    pub attempt: u32,
    /// How many attempts the step has had.
    pub attempts: u32,
    /// How it ended.
    pub status: word::AttemptStatus,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time of it, in microseconds.
    pub cpu_us: u64,
    /// When it was recorded.
    pub recorded_at: i64,
    /// The batch that carried it.
    pub batch: i64,
    /// The name of the worker that ran it.
    pub worker: String,
    /// The plugin that it ran.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
}

impl From<store::SlowSteps> for SlowStepList {
    fn from(of: store::SlowSteps) -> Self {
        let step = |of: store::SlowStep| SlowStep {
            task: of.task.0,
            namespace: of.namespace,
            template: of.template,
            version: of.version,
            step: of.step.0,
            step_name: of.step_name,
            state: of.state.into(),
            attempt: of.attempt,
            attempts: of.attempts,
            status: of.status.into(),
            execution_us: of.execution_us,
            cpu_us: of.cpu_us,
            recorded_at: of.recorded_at.0,
            batch: of.batch.0,
            worker: of.worker,
            plugin: of.plugin,
            plugin_version: of.plugin_version,
        };
        Self { since: of.since.0, sampled: of.sampled, steps: of.steps.into_iter().map(step).collect() }
    }
}

/// How much stands where.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemHealth {
    /// When it was read.
    pub at: i64,
    /// How many tasks stand in each state; states without tasks are left out.
    pub tasks: BTreeMap<String, u64>,
    /// How many steps of tasks that are not final stand in each state; states without steps are left out.
    pub steps: BTreeMap<String, u64>,
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
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureCounts {
    /// An attempt failed, and the step is tried again by itself.
    pub retryable: u64,
    /// In error: as many attempts failed as its retry policy allows.
    pub exhausted: u64,
    /// In error for another reason.
    pub permanent: u64,
}

/// Steps that are ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueCounts {
    /// Could be claimed now.
    pub claimable: u64,
    /// Wait for their next attempt.
    pub in_backoff: u64,
    /// Wait for the moment that their task was started for.
    pub delayed: u64,
    /// Were found to be covered by a pause, and set aside.
    pub parked: u64,
}

/// Connections to the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connections {
    /// This process's own that are open.
    pub open: u64,
    /// Those of them that do nothing.
    pub idle: u64,
    /// How many this process may open.
    pub max: u64,
    /// Everybody's to this database, where there is a server.
    pub server_open: Option<u64>,
    /// How many the server accepts, where there is one.
    pub server_max: Option<u64>,
}

impl From<store::Health> for SystemHealth {
    fn from(of: store::Health) -> Self {
        let (failures, queue, connections) = (of.failures, of.queue, of.connections);
        Self {
            at: of.at.0,
            tasks: of.tasks.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
            steps: of.steps.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
            failures: FailureCounts {
                retryable: failures.retryable,
                exhausted: failures.exhausted,
                permanent: failures.permanent,
            },
            queue: QueueCounts {
                claimable: queue.claimable,
                in_backoff: queue.in_backoff,
                delayed: queue.delayed,
                parked: queue.parked,
            },
            workers: of.workers,
            slots: of.slots,
            orchestrators: of.orchestrators,
            connections: Connections {
                open: connections.open,
                idle: connections.idle,
                max: connections.max,
                server_open: connections.server_open,
                server_max: connections.server_max,
            },
        }
    }
}

/// What can be told of one task as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Execution {
    /// The task.
    pub task: i64,
    /// Where it stands.
    pub state: word::TaskState,
    /// How many of its steps stand in each state; states without steps are left out.
    pub steps: BTreeMap<String, u32>,
    /// What it does at this moment.
    pub execution_status: word::ExecutionStatus,
    /// What to do about it.
    pub recommended_action: word::RecommendedAction,
    /// The share of its steps that finished well, in percent.
    #[schema(maximum = 100)]
    pub completion_percent: u8,
    /// The distance of each step from those that wait for nothing, which have 0.
    pub dependency_levels: BTreeMap<String, u16>,
    /// Steps that could be claimed now, by position.
    pub viable_steps: Vec<String>,
    /// The chain of steps that took the longest.
    pub critical_path: CriticalPath,
    /// What holds it up, or held it up the longest; null where nothing was recorded.
    pub bottleneck: Option<Bottleneck>,
    /// Steps that wait, run or failed, and why.
    pub reasons: Vec<StepReason>,
}

/// A chain of steps, each a parent of the next.
#[derive(Debug, Serialize, ToSchema)]
pub struct CriticalPath {
    /// Their names, from the first to the last.
    pub steps: Vec<String>,
    /// What their recorded attempts took together, waits for retries included, in microseconds.
    pub time_us: u64,
    /// How many of them have not finished well.
    pub unfinished: u32,
}

/// The step that holds a task up most.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bottleneck {
    /// The step.
    pub step: String,
    /// How it holds the task up.
    pub kind: word::BottleneckKind,
    /// Unfinished steps that wait for it, directly or not.
    pub dependants: u32,
    /// The same as a sentence for people.
    pub why: String,
}

/// The distance of each step of a task from those that wait for nothing, which have 0.
#[derive(Debug, Serialize, ToSchema)]
pub struct Levels {
    /// The task.
    pub task: i64,
    /// By name.
    pub levels: BTreeMap<String, u16>,
}

/// Steps of a task that could be claimed now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ViableSteps {
    /// The task.
    pub task: i64,
    /// Their names, by position.
    pub steps: Vec<String>,
}

impl From<insight::TaskContext> for Execution {
    fn from(of: insight::TaskContext) -> Self {
        let bottleneck = |of: insight::Bottleneck| Bottleneck {
            step: of.step,
            kind: of.kind.into(),
            dependants: of.dependants,
            why: of.why,
        };
        Self {
            task: of.task.0,
            state: of.state.into(),
            steps: of.steps.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
            execution_status: of.execution_status.into(),
            recommended_action: of.recommended_action.into(),
            completion_percent: of.completion_percent,
            dependency_levels: of.dependency_levels,
            viable_steps: of.viable_steps,
            critical_path: CriticalPath {
                steps: of.critical_path.steps,
                time_us: of.critical_path.time_us,
                unfinished: of.critical_path.unfinished,
            },
            bottleneck: of.bottleneck.map(bottleneck),
            reasons: of.reasons.into_iter().map(StepReason::from).collect(),
        }
    }
}

/// Every way in which a step holds its task up.
pub(super) const BOTTLENECK_KINDS: [BottleneckKind; 6] = [
    BottleneckKind::Longest,
    BottleneckKind::Ready,
    BottleneckKind::Waiting,
    BottleneckKind::Running,
    BottleneckKind::Paused,
    BottleneckKind::Failed,
];
