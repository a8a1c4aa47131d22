//! Several orchestrators at one database: nobody waits for anybody, and nothing is done twice.

use std::collections::HashSet;
use std::sync::Arc;

use stepwright_store::{NewBatch, NewTask, NewWorker, Store};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::{TaskState, settle};
use stepwright_workflow::{
    AttemptKey, Digest, Outcome, Payload, Plan, PlanStep, StepId, StepLimits, TaskId, Timestamp,
};

use crate::{connected, server};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn plan(parents: &[&[u16]]) -> Plan {
    let step = |(position, parents): (usize, &&[u16])| PlanStep {
        name: format!("s{position}"),
        plugin: "shop/steps".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
        handler: "run".to_owned(),
        parents: parents.to_vec(),
        config: Payload::null(),
        timeout_ms: 1_000,
        retry: stepwright_workflow::retry::RetryPolicy::default(),
        limits: StepLimits::default(),
    };
    Plan {
        namespace: "shop".to_owned(),
        name: "order".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: parents.iter().enumerate().map(step).collect(),
    }
}

async fn start(store: &dyn Store, parents: &[&[u16]], tasks: usize, key: Option<&str>) -> Vec<TaskId> {
    let id = store.add_plan(&plan(parents)).await.unwrap();
    let counts: Arc<[u32]> = parents.iter().map(|parents| u32::try_from(parents.len()).unwrap()).collect();
    let task = NewTask {
        plan: id,
        namespace: "shop".to_owned(),
        template: "order".to_owned(),
        parents: counts,
        external: Arc::default(),
        context: Payload::null(),
        tags: Vec::new(),
        priority: 0,
        idempotency_key: key.map(str::to_owned),
        start_at: None,
    };
    let created = store.create(&vec![task; tasks], NOW).await.unwrap();
    created.into_iter().map(|created| created.task).collect()
}

/// Leases up to `limit` claimable steps to a worker of this name.
async fn lease(store: &dyn Store, name: &str, limit: usize) -> Vec<AttemptKey> {
    let mut round = store.round().await.unwrap();
    let worker = NewWorker {
        name: name.to_owned(),
        incarnation: name.to_owned(),
        host: "here".to_owned(),
        pid: 1,
        slots: 1,
        orchestrator: name.to_owned(),
    };
    let worker = round.join(&worker, NOW, NOW).await.unwrap();
    let ready = round.claimable(limit).await.unwrap();
    let steps: Vec<(StepId, u32)> = ready.iter().map(|ready| (ready.step, ready.attempt + 1)).collect();
    if steps.is_empty() {
        return Vec::new();
    }
    let ids = round.lease(&[NewBatch { worker, steps: steps.clone() }], name, NOW).await.unwrap();
    round.commit().await.unwrap();
    steps.into_iter().map(|(step, attempt)| AttemptKey { step, attempt, batch: ids[0] }).collect()
}

fn completed(key: AttemptKey) -> stepwright_store::CompletedAttempt {
    let output = Payload::null();
    let digest = Outcome::Completed { output: output.clone() }.digest();
    let line = stepwright_store::AttemptLine { digest: Some(digest), ..Default::default() };
    stepwright_store::CompletedAttempt { key, output, line }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_is_claimed_by_one_of_them() {
    let (store, database) = server().await;
    let tasks = start(&store, &[&[]], 200, None).await;
    let mut claimed = HashSet::new();
    let orchestrators = (0..4).map(|number| {
        let database = &database;
        async move {
            let store = connected(database).await;
            let mut mine = Vec::new();
            loop {
                let keys = lease(&store, &format!("w{number}"), 7).await;
                if keys.is_empty() {
                    return mine;
                }
                mine.extend(keys);
            }
        }
    });
    for keys in futures::future::join_all(orchestrators).await {
        for key in keys {
            assert!(claimed.insert(key.step), "step {} was claimed twice", key.step);
        }
    }
    assert_eq!(claimed.len(), tasks.len());
}

#[tokio::test]
async fn a_claim_passes_over_what_another_is_claiming() {
    let (store, database) = server().await;
    start(&store, &[&[]], 2, None).await;
    let other = connected(&database).await;
    let mut first = store.round().await.unwrap();
    let mine = first.claimable(1).await.unwrap();
    let mut second = other.round().await.unwrap();
    let theirs = second.claimable(10).await.unwrap();
    assert_eq!((mine.len(), theirs.len()), (1, 1));
    assert_ne!(mine[0].step, theirs[0].step);
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_two_steps_of_a_task_may_end_in_two_places_at_once() {
    let (store, database) = server().await;
    let other = connected(&database).await;
    for _ in 0..50 {
        let task = start(&store, &[&[], &[]], 1, None).await[0];
        let keys = lease(&store, "w", 10).await;
        let end = |store, key: AttemptKey| end_and_settle(store, key);
        tokio::join!(end(&store, keys[0]), end(&other, keys[1]));
        let states = store.task_states(&[task]).await.unwrap();
        assert_eq!(states, [(task, TaskState::Complete)]);
    }
}

/// What a round does with an outcome.
async fn end_and_settle(store: &dyn Store, key: AttemptKey) {
    let task = key.step.task();
    let mut round = store.round().await.unwrap();
    round.lock(&[task]).await.unwrap();
    assert_eq!(round.complete(&[completed(key)], NOW).await.unwrap().len(), 1);
    for (task, from, counts) in round.count_steps(&[task]).await.unwrap() {
        let to = settle(from, counts);
        if from != to {
            round.settle(&[(task, from, to)], NOW).await.unwrap();
        }
    }
    round.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_join_is_released_once_whoever_ends_its_parents() {
    let (store, database) = server().await;
    let other = connected(&database).await;
    for _ in 0..50 {
        let task = start(&store, &[&[], &[], &[0, 1]], 1, None).await[0];
        let keys = lease(&store, "w", 10).await;
        assert_eq!(keys.len(), 2);
        tokio::join!(end_and_release(&store, keys[0]), end_and_release(&other, keys[1]));
        let record = store.task(task).await.unwrap().unwrap();
        assert_eq!(record.steps_detail[2].state, StepState::Ready);
        assert_eq!(lease(&store, "w", 10).await.len(), 1);
    }
}

async fn end_and_release(store: &dyn Store, key: AttemptKey) {
    let mut round = store.round().await.unwrap();
    round.lock(&[key.step.task()]).await.unwrap();
    round.complete(&[completed(key)], NOW).await.unwrap();
    round.release(&[(StepId::new(key.step.task(), 2), 1)]).await.unwrap();
    round.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_outcome_that_two_bring_is_applied_once() {
    let (store, database) = server().await;
    let other = connected(&database).await;
    for _ in 0..50 {
        start(&store, &[&[]], 1, None).await;
        let key = lease(&store, "w", 1).await[0];
        let apply = async |store: &dyn Store| {
            let mut round = store.round().await.unwrap();
            round.lock(&[key.step.task()]).await.unwrap();
            let applied = round.complete(&[completed(key)], NOW).await.unwrap().len();
            round.commit().await.unwrap();
            applied
        };
        let (one, two) = tokio::join!(apply(&store), apply(&other));
        assert_eq!(one + two, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_in_two_places_at_once_makes_one_task() {
    let (store, database) = server().await;
    let other = connected(&database).await;
    for number in 0..50 {
        let key = format!("order-{number}");
        let (one, two) = tokio::join!(
            start(&store, &[&[], &[0]], 1, Some(&key)),
            start(&other, &[&[], &[0]], 1, Some(&key))
        );
        assert_eq!(one, two);
    }
    assert_eq!(store.task_counts().await.unwrap(), [(TaskState::Pending, 50)]);
}
