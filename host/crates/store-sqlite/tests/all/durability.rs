//! What is committed stays and what is not never was, also with several writers.

use std::fs;
use std::sync::Arc;

use stepwright_store::{NewTask, Store, TaskFilter};
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_workflow::{Digest, Payload, Plan, PlanId, PlanStep, StepLimits, Timestamp};

use crate::file;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

async fn plan(store: &SqliteStore) -> PlanId {
    let step = PlanStep {
        name: "pay".to_owned(),
        plugin: "shop/pay".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
        handler: "run".to_owned(),
        parents: Vec::new(),
        config: Payload::null(),
        timeout_ms: 1_000,
        retry: stepwright_workflow::retry::RetryPolicy::default(),
        limits: StepLimits::default(),
    };
    let plan = Plan {
        namespace: "shop".to_owned(),
        name: "order".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: vec![step],
    };
    store.add_plan(&plan).await.unwrap()
}

fn task(plan: PlanId, key: Option<String>) -> NewTask {
    NewTask {
        plan,
        namespace: "shop".to_owned(),
        template: "order".to_owned(),
        parents: Arc::from([0]),
        external: Arc::default(),
        context: Payload::null(),
        tags: Vec::new(),
        priority: 0,
        idempotency_key: key,
        start_at: None,
    }
}

async fn count(store: &SqliteStore) -> usize {
    store.tasks(&TaskFilter { limit: 10_000, ..TaskFilter::default() }).await.unwrap().len()
}

#[tokio::test]
async fn a_crash_keeps_what_was_committed_and_nothing_else() {
    let (store, folder) = file().await;
    let plan = plan(&store).await;
    store.create(&vec![task(plan, None); 3], NOW).await.unwrap();
    let mut round = store.round().await.unwrap();
    // Enough to spill uncommitted pages to the log.
    let context = Payload::parse(format!("\"{}\"", "x".repeat(100_000))).unwrap();
    round.create(&vec![NewTask { context, ..task(plan, None) }; 1_000], NOW).await.unwrap();
    // What a crash at this moment would leave: the files as they are, without the process that knows more.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["tasks.db", "tasks.db-wal"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let recovered =
        SqliteStore::open(&crashed.path().join("tasks.db"), SqliteOptions::default()).await.unwrap();
    assert_eq!(count(&recovered).await, 3);
    assert_eq!(recovered.create(&[task(plan, None)], NOW).await.unwrap()[0].task.0, 4);
    assert_eq!(count(&store).await, 3);
    round.commit().await.unwrap();
    assert_eq!(count(&store).await, 1_003);
}

#[tokio::test]
async fn nobody_sees_a_round_before_its_commit() {
    let (store, folder) = file().await;
    let other = SqliteStore::open(&folder.path().join("tasks.db"), SqliteOptions::default()).await.unwrap();
    let plan = plan(&store).await;
    let mut round = store.round().await.unwrap();
    round.create(&[task(plan, None)], NOW).await.unwrap();
    for reader in [&store, &other] {
        assert_eq!(count(reader).await, 0);
        assert!(!reader.glance(NOW).await.unwrap().claimable);
    }
    round.commit().await.unwrap();
    for reader in [&store, &other] {
        assert_eq!(count(reader).await, 1);
        assert!(reader.glance(NOW).await.unwrap().claimable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_with_handles_of_their_own_wait_for_each_other() {
    let (store, folder) = file().await;
    let plan = plan(&store).await;
    let path = folder.path().join("tasks.db");
    let mut stores = vec![store.clone()];
    for _ in 0..3 {
        stores.push(SqliteStore::open(&path, SqliteOptions::default()).await.unwrap());
    }
    let write = |store: SqliteStore| async move {
        let mut new = 0;
        for number in 0..25 {
            // Of each key, one of the four writers makes the task and the others find it.
            let made =
                store.create(&[task(plan, Some(number.to_string())), task(plan, None)], NOW).await.unwrap();
            new += made.iter().filter(|created| !created.existing).count();
        }
        new
    };
    let created: usize = futures::future::join_all(stores.into_iter().map(write)).await.into_iter().sum();
    assert_eq!(created, 25 + 4 * 25);
    assert_eq!(count(&store).await, created);
    assert_eq!(store.round().await.unwrap().claimable(1_000).await.unwrap().len(), created);
}
