//! kill -9 of a worker and of the orchestrator in the middle of 200 tasks: all end right, and the ledger accounts for every
//! attempt.

use std::fmt::Write as _;

use serde_json::json;
use stepwright_store::Store as _;
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_tests::books;
use stepwright_tests::processes::{Deployment, plugin};
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;

const TASKS: i64 = 200;

/// `last` adds up what went around through the nap and what came straight from the first step: twice n.
const TEMPLATE: &str = "
template: detour
namespace: test
version: 1.0.0
plugin: examples/shapes@^1
defaults: { retry: { base: 10ms } }
steps:
  - { name: first, handler: start }
  - { name: rest, plugin: fixtures/misbehave@^1, handler: nap, depends_on: first, config: { ms: 15 } }
  - { name: last, handler: sum, depends_on: [first, rest] }
";

#[test]
fn nothing_is_lost_or_doubled_when_processes_are_killed() {
    let deployment = Deployment::new();
    // Nobody is taken for dead because he is silent.
    let orchestrate = ["orchestrate", "--set", "orchestrator.heartbeat=20s"];
    let orchestrator = deployment.start(&orchestrate);
    let first = deployment.start(&["work", "--name", "first"]);
    let second = deployment.start(&["work", "--name", "second"]);
    deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("misbehave")]);
    let template = deployment.data().join("detour.yaml");
    std::fs::write(&template, TEMPLATE).expect("a file");
    deployment.succeed(&["template", "add", &template.to_string_lossy()]);
    let mut lines = String::new();
    for n in 1..=TASKS {
        let _ = writeln!(lines, "{}", json!({ "context": { "n": n }, "idempotency_key": format!("n-{n}") }));
    }
    let batch = deployment.data().join("batch.jsonl");
    std::fs::write(&batch, lines).expect("a file");

    let batch = batch.to_string_lossy().into_owned();
    // It holds what it is given until it is killed.
    first.suspend();
    let mut watch = deployment.spawn(&["task", "run", "test/detour", "--batch", &batch, "--watch"]);
    watch.until_settled(10);
    deployment.until_holding("first", 1);
    first.kill();
    watch.until_settled(40);
    orchestrator.kill();
    let orchestrator = deployment.start(&orchestrate);
    watch.until_settled(80);
    second.kill();
    let third = deployment.start(&["work", "--name", "third"]);
    assert_eq!(watch.wait(), Some(0));
    assert_eq!(third.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));

    // Started again with the same keys, nothing new begins.
    let again = deployment.json(&["task", "run", "test/detour", "--batch", &batch]);
    let existing =
        again["tasks"].as_array().expect("tasks").iter().filter(|task| task["existing"] == true).count();
    assert_eq!(existing, usize::try_from(TASKS).unwrap_or(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(check_books(&deployment));
}

async fn check_books(deployment: &Deployment) {
    let path = deployment.data().join("stepwright.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.expect("the database opens");
    assert_eq!(store.task_counts().await.expect("counts"), [(TaskState::Complete, 200)]);
    let mut lost = 0;
    for id in 1..=TASKS {
        let task = store.task(TaskId(id)).await.expect("the store answers").expect("the task is there");
        let n = task.context.read::<serde_json::Value>().expect("JSON")["n"].as_i64().expect("a number");
        lost += books::check(&store, TaskId(id), "last", 2 * n).await;
    }
    assert!(lost > 0, "the killed workers held steps");
    store.close().await;
}
