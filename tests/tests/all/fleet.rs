//! Two orchestrators and four workers at one PostgreSQL, and everything that can go wrong between them in the middle of five
//! hundred tasks: processes are killed and suspended, connections are cut, and the server crashes. Nothing is lost, nothing is
//! applied twice, nothing is stuck.

use std::fmt::Write as _;

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use stepwright_postgres_harness::{Database, Durability};
use stepwright_store::{NoteKind, Store as _};
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_tests::books;
use stepwright_tests::processes::{Deployment, Process, plugin, template};
use stepwright_workflow::task::TaskState;

/// The last step's value for `n` = 4, by template.
const SHAPES: [(&str, &str, i64); 4] = [
    ("linear_4", "fourth", 196),
    ("diamond", "bottom", 45),
    ("tree_7", "right_left", 36),
    ("mixed_dag_7", "g", 2_244),
];
/// Tasks of each shape, and of the detour.
const OF_EACH: usize = 75;
const DETOURS: usize = 200;

/// Long enough that every fault finds steps under way. `last` adds up to twice n.
const DETOUR: &str = "
template: detour
namespace: test
version: 1.0.0
plugin: examples/shapes@^1
defaults: { retry: { base: 10ms } }
steps:
  - { name: first, handler: start }
  - { name: rest, plugin: fixtures/misbehave@^1, handler: nap, depends_on: first, config: { ms: 150 } }
  - { name: last, handler: sum, depends_on: [first, rest] }
";

fn start(deployment: &Deployment, template: &str, tasks: usize) -> Process {
    let mut lines = String::new();
    for number in 0..tasks {
        let key = format!("{template}-{number}");
        let _ = writeln!(lines, "{}", json!({ "context": { "n": 4 }, "idempotency_key": key }));
    }
    let batch = deployment.data().join(format!("{}.jsonl", template.replace('/', "-")));
    std::fs::write(&batch, lines).expect("a file");
    deployment.spawn(&["task", "run", template, "--batch", &batch.to_string_lossy(), "--watch"])
}

/// Until so many have settled. A watch that has ended has seen all of them, which its exit code and the books prove.
fn until_settled(watch: &mut Process, wanted: usize) {
    while let Some(line) = watch.line() {
        let settled = line.split(" of ").next().and_then(|number| number.trim().parse::<usize>().ok());
        if settled.is_some_and(|settled| settled >= wanted) {
            return;
        }
    }
}

/// Asks until every link of a worker of this name is lost.
fn until_lost(deployment: &Deployment, name: &str) {
    loop {
        let listed = deployment.json(&["worker", "list", "--all"]);
        let links = listed["workers"].as_array().expect("workers");
        if links.iter().filter(|link| link["name"] == name).all(|link| link["state"] == "lost") {
            return;
        }
    }
}

async fn cut_connections(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.execute(cut).await.expect("connections are cut");
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_stuck_whatever_fails() {
    let database = Database::of_its_own(Durability::Full).await;
    let deployment = Deployment::at(database.url());
    let first = deployment.orchestrate(0);
    let second = deployment.orchestrate(1);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| deployment.work(name, 2));
    deployment.succeed(&["plugin", "add", &plugin("shapes"), &plugin("misbehave")]);
    let detour = deployment.data().join("detour.yaml");
    std::fs::write(&detour, DETOUR).expect("a file");
    deployment.succeed(&["template", "add", &detour.to_string_lossy()]);
    for (name, _, _) in SHAPES {
        deployment.succeed(&["template", "add", &template(name)]);
    }

    let mut watch = start(&deployment, "test/detour", DETOURS);
    let shapes = SHAPES.map(|(name, _, _)| start(&deployment, &format!("shapes/{name}"), OF_EACH));
    until_settled(&mut watch, 10);
    a.kill();
    until_settled(&mut watch, 30);
    first.kill();
    b.suspend();
    until_settled(&mut watch, 50);
    database.cluster().expect("a cluster of its own").crash_and_restart().expect("the server comes back");
    let first = deployment.orchestrate(0);
    until_settled(&mut watch, 80);
    cut_connections(&database.url()).await;
    until_settled(&mut watch, 100);
    second.kill();
    let e = deployment.work("e", 2);
    until_settled(&mut watch, 120);
    let second = deployment.orchestrate(1);
    until_lost(&deployment, "b");
    b.resume();
    assert_eq!(watch.wait(), Some(0), "every detour ends well");
    for shape in shapes {
        assert_eq!(shape.wait(), Some(0), "every shape ends well");
    }
    for worker in [b, c, d, e] {
        assert_eq!(worker.terminate(), Some(0));
    }
    for orchestrator in [first, second] {
        assert_eq!(orchestrator.terminate(), Some(0));
    }

    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.expect("it opens");
    let tasks = DETOURS + OF_EACH * SHAPES.len();
    assert_eq!(store.task_counts().await.expect("counts"), [(TaskState::Complete, tasks as u64)]);
    let expected = |template: &str| {
        let shape = SHAPES.iter().find(|(name, _, _)| *name == template);
        shape.map_or(("last", 8), |(_, step, value)| (*step, *value))
    };
    let (mut lost, mut late) = (0, 0);
    for id in store
        .tasks(&stepwright_store::TaskFilter { limit: 10_000, ..Default::default() })
        .await
        .expect("tasks")
    {
        let (step, value) = expected(&id.template);
        lost += books::check(&store, id.id, step, value).await;
        let notes = store.notes(id.id).await.expect("notes");
        late += notes.iter().filter(|note| note.kind == NoteKind::Late).count();
        assert!(notes.iter().all(|note| note.kind != NoteKind::Discrepancy), "{notes:?}");
    }
    eprintln!("{tasks} tasks, {lost} attempts lost with their workers, {late} outcomes too late");
    assert!(lost > 0, "the killed and the suspended workers held steps");
    store.close().await;
}
