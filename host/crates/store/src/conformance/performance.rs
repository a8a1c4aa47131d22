//! Figures, the slowest, and health: each compared with what a plain count over everything there is comes to.

mod play;
mod truth;

use stepwright_workflow::distribution::Distribution;
use stepwright_workflow::health::HealthScore;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{StepId, TaskId, Timestamp};

use self::play::{Player, SINGLES};
use self::truth::Truth;
use super::orchestrators::orchestrator;
use super::{DIAMOND, NOW, SINGLE, World, at, committed, completed, failed, standing, worker};
use crate::performance::{ORCHESTRATOR_SILENT_MS, SAMPLE, SLOWEST_MAX, task_context};
use crate::{
    AnalyticsQuery, AttemptRecord, AttemptStatus, Connections, FailureCounts, NewBatch, NewTask, NewWorker,
    QueueCounts, SlowStep, SlowestQuery, StepChange, Store, TaskSummary, WorkerState,
};

/// A history of some hundred attempts, and the moment after it.
async fn history(store: &dyn Store) -> (Truth, Timestamp) {
    let mut player = Player::new(store).await;
    let mut now = NOW;
    for tick in 0..45 {
        now = Timestamp(now.0 + 1 + i64::try_from(player.dice.roll(90)).unwrap());
        if tick == 15 {
            player.one_of_each(now).await;
        }
        player.round(now, tick < 30).await;
    }
    // One that nobody claims.
    player.start(&[SINGLES], now).await;
    let now = Timestamp(now.0 + 7);
    committed!(store, wake(now));
    let truth = Truth::of(store).await;
    assert_eq!(truth.declared_done(), player.declared_done);
    (truth, now)
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
                truth.check_score(&query, &found, 1);
                assert_eq!((found.since, found.until), (since, now));
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
    // None of what was compared is nothing.
    let whole = AnalyticsQuery { since: NOW, namespace: None, sample: SAMPLE };
    let found = store.analytics(&whole, now).await.unwrap();
    let tasks = &found.tasks;
    for count in [tasks.active, tasks.in_error, tasks.completed, tasks.failed, tasks.cancelled] {
        assert!(count > 0, "{found:?}");
    }
    assert!(tasks.resolved_manually > 1 && found.steps.failed > 0 && found.steps.lost > 0, "{found:?}");
    assert!(tasks.running_ms.count > 0 && tasks.running_ms.count < tasks.total_ms.count, "{found:?}");
    let parts = |score: HealthScore| [score.score, score.success, score.flow];
    assert!(parts(found.health).iter().all(|part| (1..100).contains(part)), "{found:?}");
    let worker = store.workers(None, 1).await.unwrap()[0].id;
    committed!(store, leave(&[(worker, WorkerState::Left)], "o", now));
    let alone = store.analytics(&whole, now).await.unwrap();
    truth.check_score(&whole, &alone, 0);
    assert_eq!((found.health.staffing, alone.health.staffing), (100, 0));
}

/// It is lacking exactly while a step could be claimed and nobody is there, whatever kind of step that is.
pub async fn staffing_is_about_steps_that_could_be_claimed(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let lacks = async |claimable: u64, workers: u64, now: Timestamp| {
        let query = AnalyticsQuery { since: NOW, namespace: None, sample: SAMPLE };
        let found = store.analytics(&query, now).await.unwrap();
        let lacks = claimable > 0 && workers == 0;
        let expect = if lacks { (80, 0, workers) } else { (100, 100, workers) };
        assert_eq!((found.health.score, found.health.staffing, found.workers), expect, "{claimable}");
        let found = store.health(now).await.unwrap();
        assert_eq!((found.queue.claimable, found.workers, found.slots), (claimable, workers, 8 * workers));
    };
    lacks(0, 1, NOW).await;
    let step = StepId::new(world.start().await, 0);
    lacks(1, 1, NOW).await;
    committed!(store, leave(&[(world.worker, WorkerState::Left)], "o", NOW));
    lacks(1, 0, NOW).await;
    committed!(store, park(&[step], true));
    lacks(0, 0, NOW).await;
    committed!(store, park(&[step], false));
    lacks(1, 0, NOW).await;
    let other = committed!(store, join(&worker("v", "v-1"), at(10_000), NOW));
    lacks(1, 1, NOW).await;
    committed!(store, lease(&[NewBatch { worker: other, steps: vec![(step, 1)] }], "o", NOW));
    lacks(0, 1, NOW).await;
    committed!(store, leave(&[(other, WorkerState::Lost)], "o", NOW));
    lacks(0, 0, NOW).await;
    let later = world.start_with(NewTask { start_at: Some(at(500)), ..world.task() }).await;
    lacks(0, 0, at(499)).await;
    // Its moment has come, though nobody has woken it yet.
    lacks(1, 0, at(500)).await;
    committed!(store, wake(at(500)));
    lacks(1, 0, at(500)).await;
    let moved = StepChange {
        step: StepId::new(later, 0),
        from: StepState::Ready,
        to: standing(StepState::Skipped, 0, 0),
        output: None,
    };
    committed!(store, change(&[moved]));
    lacks(0, 0, at(500)).await;
    world.start_with(NewTask { external: [(0, "mail".to_owned())].into(), ..world.task() }).await;
    lacks(1, 0, at(500)).await;
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
    player.one_of_each(now).await;
    let parked: Vec<StepId> = {
        let ready = committed!(store, claimable(1_000));
        ready.iter().take(2).map(|ready| ready.step).collect()
    };
    committed!(store, park(&parked, true));
    let gone = committed!(store, join(&worker("v", "v-1"), at(10), NOW));
    committed!(store, leave(&[(gone, WorkerState::Left)], "o", at(10)));
    committed!(store, join(&NewWorker { slots: 3, ..worker("u", "u-1") }, at(10), NOW));
    store.enrol(&orchestrator("o-1", &[]), now).await.unwrap();
    let delayed = NewTask { start_at: Some(Timestamp(now.0 + 5_000)), ..player.task(SINGLES) };
    store.create(&[delayed], now).await.unwrap();
    let truth = Truth::of(store).await;
    assert_eq!(truth.declared_done(), player.declared_done);
    let minute = Timestamp(now.0 + ORCHESTRATOR_SILENT_MS);
    for at in [Timestamp(0), now, Timestamp(now.0 + 60), minute, Timestamp(minute.0 + 1)] {
        let found = store.health(at).await.unwrap();
        truth.check_health(&found, &parked);
        assert_eq!((found.at, found.workers, found.slots), (at, 2, 11));
        assert_eq!(found.orchestrators, u64::from(at <= minute), "at {at}");
        let Connections { open, idle, max, .. } = found.connections;
        assert!(open >= 1 && idle <= open && open <= max, "{:?}", found.connections);
    }
    // None of what was compared is nothing. Steps are cancelled with their tasks only, which are final then.
    let found = store.health(now).await.unwrap();
    assert_eq!(found.tasks.keys().copied().collect::<Vec<_>>(), TaskState::ALL);
    let states = StepState::ALL.iter().copied().filter(|state| *state != StepState::Cancelled);
    assert!(found.steps.keys().copied().eq(states), "{found:?}");
    let FailureCounts { retryable, exhausted, permanent } = found.failures;
    let QueueCounts { claimable, in_backoff, delayed, parked } = found.queue;
    for count in [retryable, exhausted, permanent, claimable, in_backoff, delayed, parked] {
        assert!(count > 0, "{found:?}");
    }
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
