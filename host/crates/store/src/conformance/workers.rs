//! Workers and their leases, the pump's glance, and the sums.

use stepwright_workflow::step::StepState;
use stepwright_workflow::{StepId, WorkerId};

use super::{NOW, SINGLE, World, at, closed, committed, completed, failed, plan, standing, worker};
use crate::{AttemptStatus, Glance, NewBatch, StepStatistics, Store, StoreError, WorkerState};

/// A restarted worker of the same name is another one. Whose lease ends first comes first.
pub async fn an_incarnation_joins_once(store: &dyn Store) {
    let first = committed!(store, join(&worker("w", "w-1"), at(10), NOW));
    let second = committed!(store, join(&worker("w", "w-2"), at(20), NOW));
    assert_ne!(first, second);
    assert_eq!(committed!(store, join(&worker("w", "w-1"), at(30), at(1))), first);
    assert_eq!(committed!(store, expired(at(29))), [second]);
    assert_eq!(committed!(store, expired(at(30))), [second, first]);
}

/// At the moment of its end already, and once declared lost no more.
pub async fn a_lease_that_ended_is_expired_until_the_worker_is_renewed_or_gone(store: &dyn Store) {
    let one = committed!(store, join(&worker("a", "a-1"), at(10), NOW));
    let two = committed!(store, join(&worker("b", "b-1"), at(20), NOW));
    for (now, expected) in [(9, vec![]), (10, vec![one]), (20, vec![one, two])] {
        assert_eq!(committed!(store, expired(at(now))), expected);
        assert_eq!(store.glance(at(now)).await.unwrap().expired, !expected.is_empty());
    }
    assert_eq!(committed!(store, renew(&[two, WorkerId(9_999)], "o", at(50), at(15))), [two]);
    assert_eq!(committed!(store, expired(at(20))), [one]);
    assert_eq!(committed!(store, leave(&[(one, WorkerState::Lost)], "o", at(20))), [one]);
    assert_eq!(committed!(store, expired(at(20))), []);
    assert_eq!(committed!(store, expired(at(50))), [two]);
    committed!(store, adopt(at(40)));
    assert_eq!(committed!(store, expired(at(50))), [two]);
    committed!(store, adopt(at(60)));
    assert_eq!(committed!(store, expired(at(59))), []);
    assert_eq!(committed!(store, expired(at(99))), [two]);
}

/// Whether it left or was lost; what became of it first stands.
pub async fn a_worker_that_is_gone_is_not_renewed(store: &dyn Store) {
    let lost = committed!(store, join(&worker("a", "a-1"), at(10), NOW));
    let left = committed!(store, join(&worker("b", "b-1"), at(10), NOW));
    let both = [(lost, WorkerState::Lost), (left, WorkerState::Left)];
    assert_eq!(committed!(store, leave(&both, "o", at(11))).len(), 2);
    assert_eq!(committed!(store, leave(&[(lost, WorkerState::Left)], "o", at(12))), []);
    assert_eq!(committed!(store, renew(&[lost, left], "o", at(99), at(12))), []);
    let found = store.workers(None, 10).await.unwrap();
    let found: Vec<_> = found.iter().map(|worker| (worker.id, worker.state, worker.seen_at)).collect();
    assert_eq!(found, [(left, WorkerState::Left, at(11)), (lost, WorkerState::Lost, at(11))]);
    assert_eq!(committed!(store, expired(at(99))), []);
}

/// Whoever welcomed it last. Anybody may say that a lease has ended, once it has.
pub async fn only_one_orchestrator_speaks_for_a_worker(store: &dyn Store) {
    let first = worker("w", "w-1");
    let second = crate::NewWorker { orchestrator: "p".to_owned(), ..first.clone() };
    let id = committed!(store, join(&first, at(10), NOW));
    assert_eq!(committed!(store, join(&second, at(10), NOW)), id);
    assert_eq!(committed!(store, renew(&[id], "o", at(5), NOW)), []);
    assert_eq!(committed!(store, renew(&[id], "p", at(20), NOW)), [id]);
    assert_eq!(committed!(store, leave(&[(id, WorkerState::Left)], "o", at(19))), []);
    assert_eq!(committed!(store, leave(&[(id, WorkerState::Lost)], "o", at(20))), [id]);
    let again = committed!(store, join(&first, at(40), at(30)));
    assert_eq!(again, id);
    assert_eq!(committed!(store, leave(&[(id, WorkerState::Left)], "o", at(31))), [id]);
}

/// Of the workers asked for, and made until then.
pub async fn open_batches_are_found_by_worker_and_age(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let other = committed!(store, join(&worker("v", "v-1"), at(10_000), NOW));
    let key = world.leased().await;
    let open = [(key.batch, world.worker)];
    assert_eq!(store.open_batches(&[world.worker, other], NOW).await.unwrap(), open);
    assert_eq!(store.open_batches(&[world.worker], at(-1)).await.unwrap(), []);
    assert_eq!(store.open_batches(&[other], NOW).await.unwrap(), []);
    assert_eq!(store.open_batches(&[], NOW).await.unwrap(), []);
    committed!(store, close_batches(&[closed(key.batch, crate::BatchEnd::Reconciled)], NOW));
    assert_eq!(store.open_batches(&[world.worker], NOW).await.unwrap(), []);
}

/// The latest first, at most as many as wanted.
pub async fn workers_are_listed_with_the_steps_that_they_hold(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[]]).await;
    let idle = committed!(store, join(&worker("idle", "i-1"), at(10), at(1)));
    world.start().await;
    let keys = world.lease().await;
    committed!(store, complete(&[completed(keys[0], "1")], NOW));
    committed!(store, started(&[crate::RunningAttempt { key: keys[1], fraction: None, note: None }]));
    let workers = store.workers(None, 10).await.unwrap();
    let held: Vec<_> = workers.iter().map(|worker| (worker.id, worker.steps_held)).collect();
    assert_eq!(held, [(idle, 0), (world.worker, 2)]);
    let found = &workers[0];
    assert_eq!((&*found.name, &*found.incarnation, &*found.host), ("idle", "i-1", "machine"));
    assert_eq!((found.pid, found.slots, found.state), (4711, 8, WorkerState::Joined));
    assert_eq!((found.joined_at, found.seen_at), (at(1), at(1)));
    assert_eq!(store.workers(None, 1).await.unwrap().len(), 1);
    committed!(store, end(&[failed(keys[1], standing(StepState::Ready, 1, 0), None)], NOW));
    let again = NewBatch { worker: idle, steps: vec![(keys[1].step, 2)] };
    committed!(store, lease(&[again], "o", NOW));
    let held: Vec<u64> =
        store.workers(None, 10).await.unwrap().iter().map(|worker| worker.steps_held).collect();
    assert_eq!(held, [1, 1]);
    committed!(store, leave(&[(world.worker, WorkerState::Left)], "o", NOW));
    for (state, ids) in [(WorkerState::Joined, [idle]), (WorkerState::Left, [world.worker])] {
        // The other one is not what fills the list.
        let found = store.workers(Some(state), 1).await.unwrap();
        assert_eq!(found.iter().map(|worker| worker.id).collect::<Vec<_>>(), ids);
    }
}

/// Ready now, or by its retry time; otherwise when.
pub async fn a_glance_says_what_waits(store: &dyn Store) {
    assert_eq!(store.glance(NOW).await.unwrap(), Glance::default());
    let world = World::new(store, SINGLE).await;
    let step = StepId::new(world.start().await, 0);
    assert_eq!(store.glance(NOW).await.unwrap(), Glance { claimable: true, ..Glance::default() });
    let key = world.lease().await[0];
    assert_eq!(key.step, step);
    assert_eq!(store.glance(NOW).await.unwrap(), Glance::default());
    committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), Some(at(50)))], NOW));
    let waiting = Glance { next_ready_at: Some(at(50)), ..Glance::default() };
    assert_eq!(store.glance(at(49)).await.unwrap(), waiting);
    assert_eq!(store.glance(at(50)).await.unwrap(), Glance { claimable: true, ..waiting });
}

/// Counts of every kind, and times by nearest rank of attempts that were not lost.
pub async fn attempts_are_summed_up_by_step(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let other = store.add_plan(&plan("refund", SINGLE)).await.unwrap();
    let tasks: Vec<_> = (0..100).map(|_| world.task()).collect();
    store.create(&tasks, NOW).await.unwrap();
    world
        .start_with(crate::NewTask { plan: other, parents: std::sync::Arc::from([0]), ..world.task() })
        .await;
    let keys = world.lease().await;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (rank, key) in (1..).zip(keys.iter().filter(|key| key.step.position() == 0).take(100)) {
        if rank <= 60 {
            let mut done = completed(*key, "1");
            done.line.execution_us = rank;
            good.push(done);
        } else {
            let mut ended = failed(*key, standing(StepState::Error, 1, 0), None);
            ended.line.execution_us = rank;
            bad.push(ended);
        }
    }
    let mut lost = failed(keys[1], standing(StepState::Ready, 0, 1), None);
    (lost.status, lost.line.digest, lost.line.execution_us) = (AttemptStatus::Lost, None, 7);
    committed!(store, end(&[lost], at(-1)));
    committed!(store, complete(&good, NOW));
    committed!(store, end(&bad, NOW));
    let sums = |step: &str, [completed, failed, lost]: [u64; 3], p50_us, p99_us| StepStatistics {
        namespace: "shop".to_owned(),
        template: "order".to_owned(),
        step: step.to_owned(),
        completed,
        failed,
        lost,
        p50_us,
        p99_us,
    };
    let since_ever = store.step_statistics(at(-10)).await.unwrap();
    assert_eq!(since_ever, [sums("s0", [60, 40, 0], 50, 99), sums("s1", [0, 0, 1], 0, 0)]);
    assert_eq!(store.step_statistics(NOW).await.unwrap(), since_ever[..1]);
    assert_eq!(store.step_statistics(at(1)).await.unwrap(), []);
}

/// One for each round that was committed, and none for reading.
pub async fn commits_are_counted(store: &dyn Store) {
    let before = store.counters().commits;
    for _ in 0..3 {
        committed!(store, claimable(1));
    }
    store.glance(NOW).await.unwrap();
    assert_eq!(store.counters().commits, before + 3);
    store.add_plan(&plan("order", SINGLE)).await.unwrap();
    store.add_plan(&plan("order", SINGLE)).await.unwrap();
    assert_eq!(store.counters().commits, before + 4);
}

/// A worker that was declared lost, or for which another orchestrator speaks, gets nothing, and nothing of the round remains.
pub async fn a_worker_that_is_gone_is_leased_nothing(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let step = StepId::new(world.start().await, 0);
    let batch = NewBatch { worker: world.worker, steps: vec![(step, 1)] };
    let refused = async |orchestrator: &str| {
        let mut round = store.round().await.unwrap();
        let error = round.lease(std::slice::from_ref(&batch), orchestrator, NOW).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::WorkersGone { workers } if *workers == [world.worker]),
            "{error}"
        );
    };
    refused("another").await;
    committed!(store, leave(&[(world.worker, WorkerState::Lost)], "o", NOW));
    refused("o").await;
    assert_eq!(world.state(step).await, StepState::Ready);
}
