//! What figures are compared with: all that there is, read task by task and counted one by one.

use std::collections::BTreeMap;

use stepwright_workflow::distribution::Distribution;
use stepwright_workflow::health::{HealthFacts, HealthScore};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{StepId, TaskId, Timestamp};

use crate::{
    Analytics, AnalyticsQuery, AttemptRecord, AttemptStatus, FailureCounts, Health, QueueCounts, StepFigures,
    StepRecord, Store, TaskFilter, TaskSummary,
};

/// All that there is, read task by task.
pub(super) struct Truth(pub(super) Vec<(TaskSummary, Vec<StepRecord>, Vec<AttemptRecord>)>);

impl Truth {
    pub(super) async fn of(store: &dyn Store) -> Self {
        let all = TaskFilter { limit: 10_000, ..TaskFilter::default() };
        let mut found = Vec::new();
        for summary in store.tasks(&all).await.unwrap() {
            let steps = store.task(summary.id).await.unwrap().unwrap().steps_detail;
            let attempts = store.attempts(summary.id).await.unwrap();
            found.push((summary, steps, attempts));
        }
        Self(found)
    }

    fn tasks(&self, namespace: Option<&str>) -> Vec<&TaskSummary> {
        let tasks = self.0.iter().map(|(task, ..)| task);
        tasks.filter(|task| namespace.is_none_or(|namespace| namespace == task.namespace)).collect()
    }

    /// The steps of tasks that are not final.
    pub(super) fn open_steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.0.iter().filter(|(task, ..)| !task.state.is_final()).flat_map(|(_, steps, _)| steps)
    }

    /// Tasks that were declared done, and when.
    pub(super) fn declared_done(&self) -> BTreeMap<TaskId, Timestamp> {
        let done = self.0.iter().filter(|(task, ..)| task.state == TaskState::ResolvedManually);
        done.map(|(task, ..)| (task.id, task.finished_at.unwrap())).collect()
    }

    /// The moments at which something settled.
    pub(super) fn moments(&self) -> Vec<Timestamp> {
        let mut moments: Vec<Timestamp> = self.0.iter().filter_map(|(task, ..)| task.finished_at).collect();
        moments.sort();
        moments
    }

    pub(super) fn count(&self, namespace: Option<&str>, test: &dyn Fn(&TaskSummary) -> bool) -> u64 {
        self.tasks(namespace).into_iter().filter(|task| test(task)).count() as u64
    }

    fn lines(&self, query: &AnalyticsQuery, since: Timestamp) -> Vec<&AttemptRecord> {
        let namespace = query.namespace.as_deref();
        let tasks =
            self.0.iter().filter(|(task, ..)| namespace.is_none_or(|namespace| namespace == task.namespace));
        tasks.flat_map(|(.., attempts)| attempts).filter(|attempt| attempt.recorded_at >= since).collect()
    }

    pub(super) fn check_tasks(&self, query: &AnalyticsQuery, found: &Analytics) {
        let (namespace, since) = (query.namespace.as_deref(), query.since);
        let now_in = |state: TaskState| self.count(namespace, &|task| task.state == state);
        let settled = |state: TaskState| {
            self.count(namespace, &|task| {
                task.state == state && task.finished_at.is_some_and(|at| at >= since)
            })
        };
        let tasks = &found.tasks;
        assert_eq!(tasks.active, now_in(TaskState::Pending) + now_in(TaskState::InProgress), "{query:?}");
        assert_eq!(tasks.in_error, now_in(TaskState::Error), "{query:?}");
        assert_eq!(tasks.created, self.count(namespace, &|task| task.created_at >= since), "{query:?}");
        let counts = (tasks.completed, tasks.failed, tasks.cancelled, tasks.resolved_manually);
        let expect = (
            settled(TaskState::Complete),
            settled(TaskState::Error),
            settled(TaskState::Cancelled),
            settled(TaskState::ResolvedManually),
        );
        assert_eq!(counts, expect, "{query:?}");
        let all = expect.0 + expect.1 + expect.2 + expect.3;
        let rate = |part: u64| (all > 0).then(|| part as f64 / all as f64);
        assert_eq!((tasks.completion_rate, tasks.error_rate), (rate(expect.0), rate(expect.1)));
        assert!((tasks.completed_per_s - rate_of(expect.0, since, found.until)).abs() < 1e-9, "{found:?}");
        assert!(tasks.durations_since >= since);
        let complete = self.tasks(namespace).into_iter().filter(|task| {
            task.state == TaskState::Complete
                && task.finished_at.is_some_and(|at| at >= tasks.durations_since)
        });
        let complete: Vec<&TaskSummary> = complete.collect();
        // Those that nobody has claimed did not run.
        let took = |from: &dyn Fn(&TaskSummary) -> Option<Timestamp>| {
            let ms = |task: &&TaskSummary| Some(task.finished_at?.since(from(task)?).as_millis());
            brute(complete.iter().filter_map(ms).map(|ms| u64::try_from(ms).unwrap()))
        };
        assert_eq!(tasks.total_ms, took(&|task| Some(task.created_at)), "{query:?}");
        assert_eq!(tasks.running_ms, took(&|task| task.started_at), "{query:?}");
    }

    /// The score, from facts that are counted here.
    pub(super) fn check_score(&self, query: &AnalyticsQuery, found: &Analytics, workers: u64) {
        let count = |state: TaskState, since: Timestamp| {
            self.count(query.namespace.as_deref(), &|task| {
                task.state == state && task.finished_at.is_none_or(|at| at >= since)
            })
        };
        let ever = Timestamp(i64::MIN);
        let facts = HealthFacts {
            completed: count(TaskState::Complete, query.since),
            failed: count(TaskState::Error, query.since),
            active: count(TaskState::Pending, ever) + count(TaskState::InProgress, ever),
            in_error: count(TaskState::Error, ever),
            claimable: self.open_steps().any(|step| {
                step.state == StepState::Ready && step.ready_at.is_none_or(|at| at <= found.until)
            }),
            workers,
        };
        assert_eq!((found.health, found.workers), (HealthScore::of(facts), workers), "{query:?} {facts:?}");
    }

    pub(super) fn check_steps(&self, query: &AnalyticsQuery, found: &Analytics) {
        let StepFigures { since, sampled, .. } = found.steps;
        assert!(!sampled && since >= query.since, "{query:?}");
        let lines = self.lines(query, since);
        let of = |status: AttemptStatus| lines.iter().filter(|line| line.status == status).count() as u64;
        let counts = (found.steps.completed, found.steps.failed, found.steps.lost);
        let expect = (of(AttemptStatus::Completed), of(AttemptStatus::Failed), of(AttemptStatus::Lost));
        assert_eq!(counts, expect, "{query:?}");
        let ran = lines.iter().filter(|line| line.status != AttemptStatus::Lost);
        assert_eq!(found.steps.execution_us, brute(ran.map(|line| line.execution_us)), "{query:?}");
        let rate = rate_of(expect.0, since, found.until);
        assert!((found.steps.completed_per_s - rate).abs() < 1e-9, "{found:?}");
    }

    /// What stands where, while these steps are set aside.
    pub(super) fn check_health(&self, found: &Health, parked: &[StepId]) {
        let now = found.at;
        let steps: Vec<&StepRecord> = self.open_steps().collect();
        let count =
            |test: &dyn Fn(&StepRecord) -> bool| steps.iter().filter(|step| test(step)).count() as u64;
        let tasks =
            TaskState::ALL.iter().map(|state| (*state, self.count(None, &|task| task.state == *state)));
        assert_eq!(found.tasks, tasks.filter(|(_, count)| *count > 0).collect());
        let states = StepState::ALL.iter().map(|state| (*state, count(&|step| step.state == *state)));
        assert_eq!(found.steps, states.filter(|(_, count)| *count > 0).collect());
        let failures = FailureCounts {
            retryable: count(&|step| step.failures > 0 && step.state.is_active()),
            exhausted: count(&|step| step.state == StepState::Error && step.failures >= step.retry_limit),
            permanent: count(&|step| step.state == StepState::Error && step.failures < step.retry_limit),
        };
        assert_eq!(found.failures, failures);
        let queued = |test: &dyn Fn(&StepRecord) -> bool| {
            count(&|step| step.state == StepState::Ready && !parked.contains(&step.id) && test(step))
        };
        let ahead = |step: &StepRecord| step.ready_at.is_some_and(|at| at > now);
        let queue = QueueCounts {
            claimable: queued(&|step| !ahead(step)),
            in_backoff: queued(&|step| ahead(step) && step.attempt > 0),
            delayed: queued(&|step| ahead(step) && step.attempt == 0),
            parked: parked.len() as u64,
        };
        assert_eq!(found.queue, queue, "at {now}");
    }
}

/// In no time nothing happens.
fn rate_of(count: u64, since: Timestamp, until: Timestamp) -> f64 {
    let ms = until.0 - since.0;
    if ms == 0 { 0.0 } else { count as f64 * 1_000.0 / ms as f64 }
}

/// Nearest rank by its definition: the smallest value that so many per cent of the values do not exceed.
fn brute(values: impl Iterator<Item = u64>) -> Distribution {
    let values: Vec<u64> = values.collect();
    let Some(max) = values.iter().copied().max() else { return Distribution::default() };
    let at_most = |limit: u64| values.iter().filter(|value| **value <= limit).count();
    let rank = |per_cent: usize| {
        let enough = values.iter().copied().filter(|value| at_most(*value) * 100 >= values.len() * per_cent);
        enough.min().unwrap()
    };
    let count = values.len() as u64;
    let mean = values.iter().sum::<u64>() / count;
    Distribution { count, mean, p50: rank(50), p95: rank(95), p99: rank(99), max }
}
