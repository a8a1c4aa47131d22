//! What is old and settled goes, in small transactions, archived before it is removed; everything else stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use stepwright_orchestrator::archive::Archive;
use stepwright_orchestrator::pruner::{PruneError, Pruner, PrunerOptions};
use stepwright_postgres_harness::Database;
use stepwright_store::{NewTask, Removed, Store, TaskFilter};
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_tests::model::Script;
use stepwright_tests::processes::{Deployment, plugin, template};
use stepwright_tests::rig::plan;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Clock, Payload, PlanId, TaskId, Timestamp};
use tokio_util::sync::CancellationToken;

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

const DAY: i64 = 86_400_000;

fn options(archive: Option<&Path>) -> PrunerOptions {
    PrunerOptions {
        keep_ms: vec![(TaskState::Complete, 86_400_000), (TaskState::Cancelled, 86_400_000)],
        events_keep_ms: Some(86_400_000),
        archive: archive.map(Archive::new),
        steps_max: 4,
        pause_ms: 100,
        interval_ms: 60_000,
    }
}

/// Some tasks of two steps that were cancelled on the first day, some on the tenth, and one that is not settled.
async fn fill(store: &dyn Store, old: usize, young: usize) -> (Vec<TaskId>, Vec<TaskId>) {
    let script = Script { parents: vec![vec![], vec![0]], endings: vec![vec![]; 2], retry_limit: 1 };
    let id = store.add_plan(&plan(&script)).await.expect("the plan is stored");
    let waiting = create(store, id, 1, Timestamp(0)).await;
    let gone = create(store, id, old, Timestamp(0)).await;
    let kept = create(store, id, young, Timestamp(0)).await;
    settle(store, &gone, Timestamp(DAY)).await;
    settle(store, &kept, Timestamp(10 * DAY)).await;
    (gone, waiting.into_iter().chain(kept).collect())
}

async fn create(store: &dyn Store, plan: PlanId, tasks: usize, now: Timestamp) -> Vec<TaskId> {
    let task = NewTask {
        plan,
        namespace: "test".to_owned(),
        template: "driven".to_owned(),
        parents: vec![0, 1].into(),
        external: Arc::default(),
        context: Payload::parse("{\"n\":1}").expect("valid JSON"),
        tags: Vec::new(),
        priority: 0,
        idempotency_key: None,
        start_at: None,
    };
    let created = store.create(&vec![task; tasks], now).await.expect("they are created");
    created.into_iter().map(|created| created.task).collect()
}

async fn settle(store: &dyn Store, tasks: &[TaskId], now: Timestamp) {
    let moves: Vec<_> = tasks.iter().map(|task| (*task, TaskState::Pending, TaskState::Cancelled)).collect();
    let mut round = store.round().await.expect("a round");
    round.settle(&moves, now).await.expect("they settle");
    round.commit().await.expect("it commits");
}

async fn there(store: &dyn Store) -> Vec<TaskId> {
    let all = TaskFilter { limit: 1_000, ..TaskFilter::default() };
    let mut ids: Vec<TaskId> =
        store.tasks(&all).await.expect("tasks").into_iter().map(|task| task.id).collect();
    ids.sort_unstable();
    ids
}

fn pruner(store: &Arc<dyn Store>, clock: &Arc<Hand>, options: PrunerOptions) -> Pruner {
    Pruner::new(options, store.clone(), clock.clone(), Arc::new(|| 0))
}

/// One pass, and the most steps that one transaction removed.
async fn pass(pruner: &mut Pruner) -> (Removed, u64) {
    let (mut removed, mut most) = (Removed::default(), 0);
    loop {
        let turn = pruner.turn().await.expect("it goes on");
        removed += turn.removed;
        most = most.max(turn.removed.steps);
        if turn.ended {
            return (removed, most);
        }
    }
}

async fn removes_what_is_old(store: Arc<dyn Store>) {
    let clock = Arc::new(Hand::default());
    let (gone, kept) = fill(&*store, 7, 3).await;
    clock.0.store(10 * DAY + 1, Ordering::Relaxed);
    let mut one = pruner(&store, &clock, options(None));
    let mut two = pruner(&store, &clock, options(None));
    // Both look before either removes.
    assert!(one.turn().await.expect("a look").more && two.turn().await.expect("a look").more);
    let ((first, most), (second, _)) = tokio::join!(pass(&mut one), pass(&mut two));
    assert_eq!(first.tasks + second.tasks, gone.len() as u64);
    assert_eq!(first.steps + second.steps, 2 * gone.len() as u64);
    assert!(most <= 4, "{most} steps in one transaction");
    assert_eq!(there(&*store).await, kept);
    assert_eq!(pass(&mut one).await.0, Removed::default());
    store.close().await;
}

#[tokio::test]
async fn two_pruners_at_a_file_remove_what_is_old_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.expect("it opens");
    removes_what_is_old(Arc::new(store)).await;
    foreign_keys_hold(&path).await;
}

/// The connection that removes checks no foreign keys: they hold all the same.
async fn foreign_keys_hold(path: &Path) {
    let mut connection = SqliteConnection::connect(&path.to_string_lossy()).await.expect("it opens");
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await.expect("it checks");
    assert_eq!(broken.len(), 0);
}

#[tokio::test]
async fn two_pruners_at_a_server_remove_what_is_old_once() {
    let database = Database::fresh().await;
    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.expect("it opens");
    removes_what_is_old(Arc::new(store)).await;
}

fn archived(folder: &Path, day: &str) -> Vec<i64> {
    let text = std::fs::read_to_string(folder.join(format!("tasks-{day}.jsonl"))).expect("an archive");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.map(|line| line["id"].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn a_crash_between_archive_and_removal_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("it opens"));
    let clock = Arc::new(Hand::default());
    let (gone, kept) = fill(&*store, 2, 1).await;
    clock.0.store(10 * DAY + 1, Ordering::Relaxed);
    // The archive cannot be written: nothing may be removed.
    std::fs::write(&archive, "in the way").expect("a file");
    let mut first = pruner(&store, &clock, options(Some(&archive)));
    first.turn().await.expect("a look");
    let error = first.turn().await.expect_err("there is a file in the way");
    assert!(matches!(error, PruneError::Archive(_)), "{error}");
    assert_eq!(there(&*store).await.len(), gone.len() + kept.len());
    std::fs::remove_file(&archive).expect("it goes");
    // It was written, and the process died before it removed anything: the next one writes it again.
    let expiry = options(None).expiry(clock.now());
    let due = store.expired_tasks(TaskId(0), &expiry, 100).await.expect("a look").due;
    Archive::new(&archive)
        .append(format!("{{\"id\":{}}}\n", due[0].task), clock.now())
        .await
        .expect("it writes");
    let (removed, _) = pass(&mut pruner(&store, &clock, options(Some(&archive)))).await;
    assert_eq!(removed.tasks, 2);
    assert_eq!(archived(&archive, "1970-01-11"), [gone[0].0, gone[0].0, gone[1].0]);
    let text = std::fs::read_to_string(archive.join("tasks-1970-01-11.jsonl")).expect("an archive");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["state"], &last["context"]["n"]), (&Value::from("cancelled"), &Value::from(1)));
    assert_eq!(last["steps_detail"].as_array().expect("steps").len(), 2);
    store.close().await;
}

/// One statement for each look, and the interval between two of them: far below what an idle orchestrator may cost.
#[tokio::test]
async fn a_pruner_with_nothing_to_do_asks_once_a_minute() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("it opens"));
    let clock = Arc::new(Hand::default());
    fill(&*store, 0, 3).await;
    clock.0.store(10 * DAY + 1, Ordering::Relaxed);
    let mut idle = pruner(&store, &clock, options(None));
    let before = store.counters();
    for _ in 0..10 {
        let turn = idle.turn().await.expect("a look");
        assert!(turn.ended && !turn.more, "the next look is an interval away");
    }
    let after = store.counters();
    assert_eq!((after.statements - before.statements, after.commits - before.commits), (10, 0));
    // Where nothing is ever removed, nothing is ever asked.
    let nothing = PrunerOptions { keep_ms: Vec::new(), events_keep_ms: None, ..options(None) };
    let stop = CancellationToken::new();
    stop.cancel();
    pruner(&store, &clock, nothing).run(stop).await;
    assert_eq!(store.counters(), after);
    store.close().await;
}

#[tokio::test]
async fn an_operator_archives_and_removes_old_tasks_at_a_server() {
    let database = Database::fresh().await;
    prunes(&Deployment::at(database.url()));
}

#[tokio::test]
async fn an_operator_archives_and_removes_old_tasks_in_a_file() {
    let deployment = Deployment::new();
    prunes(&deployment);
    foreign_keys_hold(&deployment.data().join("stepwright.db")).await;
}

fn prunes(deployment: &Deployment) {
    let dev = deployment.start(&["dev"]);
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("diamond")]);
    let run =
        ["task", "run", "shapes/diamond", "--json-input", "{\"n\":4}", "--idempotency-key", "k", "--wait"];
    deployment.succeed(&run);
    assert_eq!(deployment.json(&run)["tasks"][0]["existing"], true);
    // The worker says goodbye, so every batch is closed.
    assert_eq!(dev.terminate(), Some(0));
    let started = deployment.json(&["task", "run", "shapes/diamond", "--json-input", "{\"n\":4}"]);
    let waiting = started["tasks"][0]["task"].to_string();

    let refused = deployment.output(&["db", "prune"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--older-than"), "it says what is missing");
    let odd = deployment.output(&["db", "prune", "--older-than", "1s", "--state", "pending"]);
    assert!(String::from_utf8_lossy(&odd.stderr).contains("never removed"), "it says why not");
    let stats = deployment.json(&["db", "stats", "--older-than", "0s"]);
    assert_eq!(stats["tasks"]["complete"], 1);
    assert_eq!(stats["due"]["complete"], serde_json::json!({ "tasks": 1, "steps": 4 }));
    assert_eq!(stats["oldest_unfinished"]["task"].to_string(), waiting);
    assert!(stats["size"]["bytes"].as_u64().expect("a size") > 0);
    assert!(
        deployment.succeed(&["db", "stats"]).contains(&format!("oldest unfinished task: {waiting}, pending"))
    );
    let dry = deployment.json(&["db", "prune", "--older-than", "0s", "--dry-run"]);
    assert_eq!(dry["due"]["complete"]["steps"], 4);

    let archive = deployment.data().join("archive");
    let folder = archive.to_string_lossy().into_owned();
    let pruned = deployment.json(&["db", "prune", "--older-than", "0s", "--archive", &folder]);
    let removed = &pruned["removed"];
    assert_eq!((&removed["tasks"], &removed["steps"]), (&Value::from(1), &Value::from(4)));
    assert_eq!(&removed["attempts"], 4);
    assert!(removed["batches"].as_u64().expect("a count") >= 3, "{removed}");
    let file = std::fs::read_dir(&archive).expect("a folder").next().expect("a file").expect("a file").path();
    let text = std::fs::read_to_string(file).expect("text");
    let line: Value = serde_json::from_str(text.trim()).expect("one line of JSON");
    assert_eq!((&line["id"], &line["idempotency_key"]), (&Value::from(1), &Value::from("k")));
    assert_eq!(line["attempts"].as_array().expect("attempts").len(), 4);
    assert_eq!(deployment.output(&["task", "show", "1"]).status.code(), Some(1));
    assert!(deployment.succeed(&["doctor"]).starts_with("1 unfinished tasks with 4 steps"));
    // The key is free again, and what is left still runs.
    let _dev = deployment.start(&["dev"]);
    assert_eq!(deployment.json(&run)["tasks"][0]["existing"], false);
    deployment.succeed(&["task", "watch", &waiting]);
}

/// The settings alone: an orchestrator removes what has become old while it runs.
#[test]
fn an_orchestrator_removes_by_itself_what_the_settings_say() {
    let deployment = Deployment::new();
    let settings = "[retention]\ncomplete = \"1ms\"\ninterval = \"10ms\"\npause = \"1ms\"\n";
    std::fs::write(deployment.data().join("stepwright.toml"), settings).expect("a file");
    let dev = deployment.start(&["dev"]);
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("noop_1")]);
    deployment.succeed(&["task", "run", "shapes/noop_1", "--json-input", "{\"n\":1}"]);
    // Until it is gone: the watch of nextest ends a test that waits in vain.
    while deployment.output(&["task", "show", "1"]).status.code() == Some(0) {}
    assert!(deployment.json(&["task", "list"])["tasks"].as_array().expect("tasks").is_empty());
    assert_eq!(dev.terminate(), Some(0));
}
