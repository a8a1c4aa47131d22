//! Figures, the slowest, and health: each compared with what a plain count over everything there is comes to.

use std::collections::BTreeMap;

use stepwright_workflow::distribution::Distribution;
use stepwright_workflow::graph::Graph;
use stepwright_workflow::step::{StepStanding, StepState};
use stepwright_workflow::task::{TaskState, settle};
use stepwright_workflow::{AttemptKey, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId};

use super::{DIAMOND, Dice, NOW, SINGLE, World, at, committed, completed, failed, plan, standing, worker};
use crate::performance::{SAMPLE, SLOWEST_MAX, task_context};
use crate::{
    Analytics, AnalyticsQuery, AttemptRecord, AttemptStatus, Connections, EndedAttempt, FailureCounts,
    NewBatch, NewTask, QueueCounts, Round, SlowStep, SlowestQuery, StepChange, StepFigures, StepRecord,
    Store, TaskFilter, TaskSummary, WorkerState,
};

/// A small orchestrator that plays at random: what it does is legal, and nothing of it is likely.
struct Player<'a> {
    store: &'a dyn Store,
    dice: Dice,
    plans: Vec<(PlanId, Plan)>,
    worker: WorkerId,
    held: Vec<(AttemptKey, PlanId)>,
}

impl<'a> Player<'a> {
    async fn new(store: &'a dyn Store) -> Self {
        let mut plans = vec![plan("order", DIAMOND), plan("order", SINGLE), plan("bill", &[&[], &[0], &[1]])];
        plans[1].version = "2.0.0".to_owned();
        plans[2].namespace = "other".to_owned();
        let mut stored = Vec::new();
        for plan in plans {
            stored.push((store.add_plan(&plan).await.unwrap(), plan));
        }
        let worker = committed!(store, join(&worker("w", "w-1"), at(1_000_000), NOW));
        Self { store, dice: Dice(2_026), plans: stored, worker, held: Vec::new() }
    }

    fn graph(&self, plan: PlanId) -> Graph {
        Graph::of_plan(&self.plans.iter().find(|(id, _)| *id == plan).unwrap().1)
    }

    /// Everything that happens at one moment.
    async fn round(&mut self, now: Timestamp, starts: bool) {
        let mut round = self.store.round().await.unwrap();
        let mut touched = self.outcomes(&mut *round, now).await;
        if starts {
            let tasks: Vec<NewTask> = (0..1 + self.dice.roll(3)).map(|_| self.task()).collect();
            let created = round.create(&tasks, now).await.unwrap();
            if self.dice.roll(5) == 0 {
                touched.push(created[0].task);
                cancel(&mut *round, created[0].task, now).await;
            }
        }
        touched.sort();
        touched.dedup();
        let moves: Vec<(TaskId, TaskState, TaskState)> = round
            .count_steps(&touched)
            .await
            .unwrap()
            .into_iter()
            .map(|(task, state, counts)| (task, state, settle(state, counts)))
            .filter(|(_, from, to)| from != to)
            .collect();
        round.settle(&moves, now).await.unwrap();
        round.wake(now).await.unwrap();
        let mut ready = round.claimable(1_000).await.unwrap();
        ready.retain(|_| self.dice.roll(4) > 0);
        if !ready.is_empty() {
            let steps: Vec<(StepId, u32)> =
                ready.iter().map(|ready| (ready.step, ready.attempt + 1)).collect();
            let batch = NewBatch { worker: self.worker, steps };
            let ids = round.lease(&[batch], "o", now).await.unwrap();
            let key = |step: StepId, attempt: u32| AttemptKey { step, attempt, batch: ids[0] };
            self.held.extend(ready.iter().map(|ready| (key(ready.step, ready.attempt + 1), ready.plan)));
        }
        round.commit().await.unwrap();
    }

    fn task(&mut self) -> NewTask {
        let at = usize::try_from(self.dice.roll(3)).unwrap();
        let (id, plan) = &self.plans[at];
        let parents = plan.steps.iter().map(|step| u32::try_from(step.parents.len()).unwrap());
        NewTask {
            plan: *id,
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            parents: parents.collect(),
            external: Default::default(),
            context: super::payload("{}"),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        }
    }

    /// Ends about half of the attempts that are held. Returns their tasks.
    async fn outcomes(&mut self, round: &mut dyn Round, now: Timestamp) -> Vec<TaskId> {
        let keys: Vec<AttemptKey> = self.held.iter().map(|(key, _)| *key).collect();
        let leased = round.leased(&keys).await.unwrap();
        let standings: BTreeMap<StepId, StepStanding> =
            leased.into_iter().map(|leased| (leased.key.step, leased.standing)).collect();
        let (mut done, mut ended, mut released, mut kept) =
            (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        for (key, plan) in std::mem::take(&mut self.held) {
            let Some(before) = standings.get(&key.step).copied() else { continue };
            // From microseconds to seconds, many of them equal.
            let mut execution_us =
                10 * (1 + self.dice.roll(9)) * 10_u64.pow(u32::try_from(self.dice.roll(6)).unwrap());
            let ready_at =
                Some(Timestamp(now.0 + i64::try_from(self.dice.roll(200)).unwrap())).filter(|at| *at > now);
            let failures = before.failures + 1;
            let end = |to: StepStanding, ready_at| -> EndedAttempt { failed(key, to, ready_at) };
            let mut attempt = match self.dice.roll(20) {
                0..6 => {
                    kept.push((key, plan));
                    continue;
                }
                6..8 if failures < 3 => end(standing(StepState::Ready, failures, before.losses), ready_at),
                8 => end(standing(StepState::Error, failures, before.losses), None),
                9 => {
                    execution_us = 0;
                    let lost = end(standing(StepState::Ready, before.failures, before.losses + 1), None);
                    EndedAttempt { status: AttemptStatus::Lost, ..lost }
                }
                _ => {
                    let mut attempt = completed(key, "1");
                    attempt.line.execution_us = execution_us;
                    for child in self.graph(plan).children(key.step.position()) {
                        *released.entry(StepId::new(key.step.task(), *child)).or_insert(0) += 1;
                    }
                    done.push(attempt);
                    continue;
                }
            };
            attempt.line.execution_us = execution_us;
            ended.push(attempt);
        }
        self.held = kept;
        round.complete(&done, now).await.unwrap();
        round.end(&ended, now).await.unwrap();
        round.release(&released.into_iter().collect::<Vec<(StepId, u32)>>()).await.unwrap();
        done.iter()
            .map(|done| done.key)
            .chain(ended.iter().map(|end| end.key))
            .map(|key| key.step.task())
            .collect()
    }
}

/// What an operator does.
async fn cancel(round: &mut dyn Round, task: TaskId, now: Timestamp) {
    let steps = round.steps(task).await.unwrap();
    let change = |row: &crate::StepRow| StepChange {
        step: row.step,
        from: row.standing.state,
        to: StepStanding { state: StepState::Cancelled, ..row.standing },
        output: None,
    };
    round.change(&steps.iter().map(change).collect::<Vec<_>>()).await.unwrap();
    round.settle(&[(task, TaskState::Pending, TaskState::Cancelled)], now).await.unwrap();
}

/// All that there is, read task by task.
struct Truth(Vec<(TaskSummary, Vec<StepRecord>, Vec<AttemptRecord>)>);

impl Truth {
    async fn of(store: &dyn Store) -> Self {
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

    /// The moments at which something settled.
    fn moments(&self) -> Vec<Timestamp> {
        let mut moments: Vec<Timestamp> = self.0.iter().filter_map(|(task, ..)| task.finished_at).collect();
        moments.sort();
        moments
    }

    fn count(&self, namespace: Option<&str>, test: &dyn Fn(&TaskSummary) -> bool) -> u64 {
        self.tasks(namespace).into_iter().filter(|task| test(task)).count() as u64
    }

    fn lines(&self, query: &AnalyticsQuery, since: Timestamp) -> Vec<&AttemptRecord> {
        let namespace = query.namespace.as_deref();
        let tasks =
            self.0.iter().filter(|(task, ..)| namespace.is_none_or(|namespace| namespace == task.namespace));
        tasks.flat_map(|(.., attempts)| attempts).filter(|attempt| attempt.recorded_at >= since).collect()
    }

    fn check_tasks(&self, query: &AnalyticsQuery, found: &Analytics) {
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
        let expect =
            (settled(TaskState::Complete), settled(TaskState::Error), settled(TaskState::Cancelled), 0);
        assert_eq!(counts, expect, "{query:?}");
        let all = expect.0 + expect.1 + expect.2;
        let rate = |part: u64| (all > 0).then(|| part as f64 / all as f64);
        assert_eq!((tasks.completion_rate, tasks.error_rate), (rate(expect.0), rate(expect.1)));
        assert!((tasks.completed_per_s - rate_of(expect.0, since, found.until)).abs() < 1e-9, "{found:?}");
        assert!(tasks.durations_since >= since);
        let complete = self.tasks(namespace).into_iter().filter(|task| {
            task.state == TaskState::Complete
                && task.finished_at.is_some_and(|at| at >= tasks.durations_since)
        });
        let complete: Vec<&TaskSummary> = complete.collect();
        let took = |from: &dyn Fn(&TaskSummary) -> Timestamp| {
            let ms = |task: &&TaskSummary| task.finished_at.unwrap().since(from(task)).as_millis();
            brute(complete.iter().map(|task| u64::try_from(ms(task)).unwrap()))
        };
        assert_eq!(tasks.total_ms, took(&|task| task.created_at), "{query:?}");
        assert_eq!(tasks.running_ms, took(&|task| task.started_at.unwrap()), "{query:?}");
    }

    fn check_steps(&self, query: &AnalyticsQuery, found: &Analytics) {
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

/// A history of some hundred attempts, and the moment after it.
async fn history(store: &dyn Store) -> (Truth, Timestamp) {
    let mut player = Player::new(store).await;
    let mut now = NOW;
    for tick in 0..45 {
        now = Timestamp(now.0 + 1 + i64::try_from(player.dice.roll(90)).unwrap());
        player.round(now, tick < 30).await;
    }
    (Truth::of(store).await, Timestamp(now.0 + 7))
}

/// Whatever the window, the namespace, and how many rows are read.
pub async fn figures_are_those_of_a_plain_count(store: &dyn Store) {
    let (truth, now) = history(store).await;
    let moments = truth.moments();
    let attempts = truth.0.iter().map(|(.., attempts)| attempts.len()).sum::<usize>();
    assert!(moments.len() > 20 && attempts > 100, "{} tasks settled, {attempts} attempts", moments.len());
    let mut shortened = 0;
    for sample in [SAMPLE, 60] {
        for since in [Timestamp(0), NOW, moments[moments.len() / 3], moments[moments.len() - 3], now] {
            for namespace in [None, Some("shop"), Some("other"), Some("nothing")] {
                let query = AnalyticsQuery { since, namespace: namespace.map(str::to_owned), sample };
                let found = store.analytics(&query, now).await.unwrap();
                truth.check_tasks(&query, &found);
                truth.check_steps(&query, &found);
                assert_eq!((found.since, found.until, found.workers), (since, now, 1));
                if sample == SAMPLE {
                    assert_eq!((found.tasks.durations_since, found.steps.since), (since, since));
                }
                shortened += usize::from(found.steps.since > since);
            }
        }
    }
    assert!(shortened > 3, "the time looked at was shortened {shortened} times");
    let few = AnalyticsQuery { since: NOW, namespace: None, sample: 9 };
    let found = store.analytics(&few, now).await.unwrap();
    truth.check_tasks(&few, &found);
    assert!(found.tasks.durations_since > NOW && found.tasks.total_ms.count < 9, "{found:?}");
}

/// By every filter, in a fixed order, no more than wanted.
pub async fn the_slowest_are_found_among_all(store: &dyn Store) {
    let (truth, now) = history(store).await;
    let moments = truth.moments();
    let text = |text: Option<&str>| text.map(str::to_owned);
    for (since, namespace, template, version, limit, sample) in [
        (Timestamp(0), None, None, None, SLOWEST_MAX, SAMPLE),
        (moments[moments.len() / 2], None, None, None, 7, SAMPLE),
        (NOW, Some("shop"), None, Some("2.0.0"), 50, SAMPLE),
        (NOW, None, Some("bill"), None, 50, SAMPLE),
        (NOW, Some("other"), Some("order"), None, 50, SAMPLE),
        (NOW, None, None, None, 500, 60),
        (now, None, None, None, 10, SAMPLE),
    ] {
        let query = SlowestQuery {
            since,
            namespace: text(namespace),
            template: text(template),
            version: text(version),
            limit,
            sample,
        };
        let wanted = |task: &TaskSummary| {
            namespace.is_none_or(|wanted| wanted == task.namespace)
                && template.is_none_or(|wanted| wanted == task.template)
                && version.is_none_or(|wanted| wanted == task.version)
        };
        let tasks = truth.0.iter().filter(|(task, ..)| wanted(task));
        let mut slow: Vec<_> =
            tasks.clone().filter(|(task, ..)| task.finished_at.is_some_and(|at| at >= since)).collect();
        let took = |task: &TaskSummary| {
            u64::try_from(task.finished_at.unwrap().since(task.created_at).as_millis()).unwrap()
        };
        slow.sort_by_key(|(task, ..)| (std::cmp::Reverse(took(task)), task.id));
        slow.truncate(limit as usize);
        let found = store.slowest_tasks(&query).await.unwrap();
        assert_eq!(found.len(), slow.len(), "{query:?}");
        for (found, (task, steps, attempts)) in found.iter().zip(slow) {
            assert_eq!(
                (found.task, &found.version, found.state),
                (task.id, &task.version, task.state),
                "{query:?}"
            );
            assert_eq!((found.total_ms, found.steps), (took(task), steps.len() as u64));
            assert_eq!(found.attempts, attempts.len() as u64);
            let running = task.started_at.map(|started| task.finished_at.unwrap().since(started).as_millis());
            assert_eq!(found.running_ms.map(u128::from), running);
        }
        let found = store.slowest_steps(&query).await.unwrap();
        assert!(!found.sampled && found.since >= since, "{query:?}");
        assert_eq!(found.since > since, sample != SAMPLE, "{query:?}");
        let attempts = tasks.flat_map(|(.., attempts)| attempts).filter(|line| {
            line.recorded_at >= since
                && line.status != AttemptStatus::Lost
                && (line.execution_us >= 1_000_000 || line.recorded_at >= found.since)
        });
        let mut slow: Vec<&AttemptRecord> = attempts.collect();
        slow.sort_by_key(|line| (std::cmp::Reverse(line.execution_us), line.step, line.attempt));
        slow.truncate(limit as usize);
        let keys =
            |step: &SlowStep| (step.execution_us, step.step, step.attempt, step.status, step.recorded_at);
        let found: Vec<_> = found.steps.iter().map(keys).collect();
        let expect: Vec<_> = slow
            .iter()
            .map(|line| (line.execution_us, line.step, line.attempt, line.status, line.recorded_at))
            .collect();
        assert_eq!(found, expect, "{query:?}");
    }
    let query =
        SlowestQuery { since: NOW, namespace: None, template: None, version: None, limit: 1, sample: SAMPLE };
    let slowest = store.slowest_steps(&query).await.unwrap().steps.remove(0);
    let (task, steps, _) = truth.0.iter().find(|(task, ..)| task.id == slowest.task).unwrap();
    let step = steps.iter().find(|step| step.id == slowest.step).unwrap();
    assert_eq!((&slowest.step_name, slowest.state, slowest.attempts), (&step.name, step.state, step.attempt));
    assert_eq!(
        (&slowest.namespace, &slowest.template, &slowest.version),
        (&task.namespace, &task.template, &task.version)
    );
    assert_eq!((&*slowest.worker, &*slowest.plugin, &*slowest.plugin_version), ("w", "shop/steps", "1.0.0"));
}

/// Steps of final tasks are none of its business.
pub async fn health_counts_what_stands_where(store: &dyn Store) {
    let mut player = Player::new(store).await;
    let mut now = NOW;
    for _ in 0..25 {
        now = Timestamp(now.0 + 1 + i64::try_from(player.dice.roll(60)).unwrap());
        player.round(now, true).await;
    }
    let mut round = store.round().await.unwrap();
    let ready = round.claimable(1_000).await.unwrap();
    let parked: Vec<StepId> = ready.iter().take(2).map(|ready| ready.step).collect();
    round.park(&parked, true).await.unwrap();
    round.commit().await.unwrap();
    let gone = committed!(store, join(&worker("v", "v-1"), at(10), NOW));
    committed!(store, leave(&[(gone, WorkerState::Left)], "o", at(10)));
    let delayed = NewTask { start_at: Some(Timestamp(now.0 + 5_000)), ..player.task() };
    store.create(&[delayed], now).await.unwrap();
    let truth = Truth::of(store).await;
    let open = truth.0.iter().filter(|(task, ..)| !task.state.is_final()).flat_map(|(_, steps, _)| steps);
    let steps: Vec<&StepRecord> = open.collect();
    let count = |test: &dyn Fn(&StepRecord) -> bool| steps.iter().filter(|step| test(step)).count() as u64;
    for now in [Timestamp(0), now, Timestamp(now.0 + 60), Timestamp(now.0 + 100_000)] {
        let found = store.health(now).await.unwrap();
        let tasks =
            TaskState::ALL.iter().map(|state| (*state, truth.count(None, &|task| task.state == *state)));
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
            parked: 2,
        };
        assert_eq!(found.queue, queue, "at {now}");
        assert_eq!((found.at, found.workers, found.slots, found.orchestrators), (now, 1, 8, 0));
        let Connections { open, idle, max, .. } = found.connections;
        assert!(open >= 1 && idle <= open && open <= max, "{:?}", found.connections);
    }
    let found = store.health(now).await.unwrap();
    assert!(
        found.failures.retryable > 0 && found.failures.permanent > 0 && found.queue.delayed > 0,
        "{found:?}"
    );
}

/// An empty database, and a task that has more attempts than are read.
pub async fn what_cannot_be_counted_is_said(store: &dyn Store) {
    let all = AnalyticsQuery { since: NOW, namespace: None, sample: SAMPLE };
    let slowest =
        SlowestQuery { since: NOW, namespace: None, template: None, version: None, limit: 9, sample: 3 };
    let found = store.analytics(&all, at(10)).await.unwrap();
    assert_eq!((found.health.score, found.tasks.completion_rate, found.steps.since), (100, None, NOW));
    assert_eq!(
        (found.tasks.total_ms, found.steps.execution_us),
        (Distribution::default(), Distribution::default())
    );
    assert_eq!(store.slowest_tasks(&slowest).await.unwrap(), []);
    let found = store.slowest_steps(&slowest).await.unwrap();
    assert_eq!((found.steps, found.since, found.sampled), (Vec::new(), NOW, false));
    let world = World::new(store, &[&[], &[], &[], &[]]).await;
    let task = world.start().await;
    let done: Vec<_> = world.lease().await.into_iter().map(|key| completed(key, "1")).collect();
    committed!(store, complete(&done, at(5)));
    for (settled, from) in [(false, NOW), (true, NOW)] {
        if settled {
            committed!(store, settle(&[(task, TaskState::InProgress, TaskState::Complete)], at(5)));
        }
        let query = AnalyticsQuery { sample: 3, ..all.clone() };
        let found = store.analytics(&query, at(10)).await.unwrap().steps;
        assert_eq!((found.sampled, found.since, found.completed), (true, from, 3), "{settled}");
        let found = store.slowest_steps(&slowest).await.unwrap();
        assert_eq!((found.sampled, found.since, found.steps.len()), (true, from, 3), "{settled}");
        assert!(!store.analytics(&all, at(10)).await.unwrap().steps.sampled);
    }
}

/// With what its attempts took, waits for retries included.
pub async fn a_task_is_told_as_a_whole(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start().await;
    assert_eq!(task_context(store, TaskId(9_999), NOW).await.unwrap(), None);
    let mut first = failed(world.lease().await[0], standing(StepState::Ready, 1, 0), None);
    first.line.execution_us = 700;
    committed!(store, end(&[first], at(10)));
    let second = completed(world.lease().await[0], "1");
    committed!(store, complete(&[second], at(50)));
    committed!(store, release(&[(StepId::new(task, 1), 1), (StepId::new(task, 2), 1)]));
    let found = task_context(store, task, at(60)).await.unwrap().unwrap();
    assert_eq!((found.state, found.completion_percent), (TaskState::InProgress, 25));
    assert_eq!(found.viable_steps, ["s1", "s2"]);
    assert_eq!(found.dependency_levels.into_values().collect::<Vec<u16>>(), [0, 1, 1, 2]);
    let path = found.critical_path;
    assert_eq!((path.steps.join(" "), path.time_us, path.unfinished), ("s0 s1 s3".to_owned(), 40_700, 2));
    assert_eq!(found.bottleneck.unwrap().why, "waits for a free worker; 1 step waits for it");
}
