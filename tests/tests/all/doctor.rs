//! What a crash could leave, made by hand: `doctor` finds it, says it in words, and puts it right; and so does an orchestrator.

use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use stepwright_postgres_harness::Database;
use stepwright_tests::processes::{Deployment, plugin, template};

/// Four diamonds, none of them begun, and in each something that contradicts itself. Step ids are the task's times 65536 plus
/// the position: top 0, left 1, right 2, bottom 3.
const BREAK: &[&str] = &[
    // Nothing would ever release its left side.
    "UPDATE steps SET pending_parents = 7 WHERE id = 65537",
    // It was sent, and its batch was closed without it.
    "INSERT INTO workers (name, incarnation, host, pid, slots, orchestrator, state, lease_until, joined_at, seen_at)
     VALUES ('gone', 'gone', 'h', 1, 1, 'o', 'lost', 0, 0, 0)",
    "INSERT INTO batches (id, worker_id, created_at, closed_at, ended, steps) VALUES (1000, 1, 0, 0, 'lost', '[[131072,1]]')",
    "UPDATE steps SET state = 'leased', attempt = 1, batch_id = 1000 WHERE id = 131072",
    "UPDATE tasks SET state = 'in_progress', started_at = 1 WHERE id = 2",
    // All its steps are done with, and nobody told the task.
    "UPDATE steps SET state = 'skipped', pending_parents = 0 WHERE id BETWEEN 196608 AND 196611",
    "UPDATE tasks SET state = 'in_progress', started_at = 1 WHERE id = 3",
];
/// Where the ready queue is a table of its own, it can differ from the steps.
const BREAK_QUEUE: &[&str] = &[
    "DELETE FROM ready WHERE step_id IN (131072, 262144)",
    "INSERT INTO ready (step_id, priority) VALUES (262145, 0)",
    "DELETE FROM ready WHERE step_id BETWEEN 196608 AND 196611",
];

fn prepared(deployment: &Deployment) {
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("diamond")]);
    for _ in 0..4 {
        deployment.succeed(&["task", "run", "shapes/diamond", "--json-input", "{\"n\":4}"]);
    }
    assert_eq!(
        deployment.succeed(&["doctor"]).trim(),
        "4 unfinished tasks with 16 steps: each step has exactly one thing that will move it on"
    );
}

fn found(deployment: &Deployment) -> Vec<String> {
    let output = deployment.output(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// Everything ends, now that nothing is stuck.
fn ends(deployment: &Deployment) {
    let orchestrator = deployment.start(&["orchestrate"]);
    let worker = deployment.start(&["work"]);
    deployment.succeed(&["task", "watch", "1", "2", "3", "4"]);
    assert_eq!(deployment.succeed(&["doctor"]).split(' ').next(), Some("0"));
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(orchestrator.terminate(), Some(0));
}

#[tokio::test]
async fn what_a_crash_left_in_a_file_is_found_and_put_right() {
    let deployment = Deployment::new();
    prepared(&deployment);
    let path = deployment.data().join("stepwright.db");
    let mut connection = SqliteConnection::connect(&path.to_string_lossy()).await.expect("it opens");
    connection.execute("PRAGMA foreign_keys = off").await.expect("it runs");
    for statement in BREAK {
        connection.execute(*statement).await.expect("it runs");
    }
    connection.close().await.expect("it closes");
    let expected = [
        "task 1: step 'left' waits for 7 parents, but 1 have not finished well",
        "task 2: step 'top' is leased, but no worker holds it",
        "task 3: the task is in_progress, but by its steps it should be complete",
    ];
    assert_eq!(found(&deployment), expected);
    assert_eq!(deployment.succeed(&["doctor", "--repair"]).lines().count(), 3);
    assert!(deployment.succeed(&["doctor"]).starts_with("3 unfinished"));
    ends(&deployment);
}

#[tokio::test]
async fn what_a_crash_left_at_a_server_is_put_right_by_an_orchestrator() {
    let database = Database::fresh().await;
    let deployment = Deployment::at(database.url());
    prepared(&deployment);
    let mut connection = PgConnection::connect(&database.url()).await.expect("it opens");
    for statement in BREAK.iter().chain(BREAK_QUEUE) {
        connection.execute(*statement).await.expect("it runs");
    }
    connection.close().await.expect("it closes");
    let found = found(&deployment);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(found[3], "task 4: step 'top' is ready, but not in the ready queue");
    assert_eq!(found[4], "task 4: step 'left' is in the ready queue, but pending");
    ends(&deployment);
}

#[test]
fn a_component_that_is_gone_or_cut_off_is_named_and_put_back() {
    let deployment = Deployment::new();
    let component = plugin("shapes");
    deployment.succeed(&["plugin", "add", &component]);
    let listed = deployment.json(&["plugin", "list"]);
    let word = |field: &str| listed["plugins"][0][field].as_str().expect("a word");
    let hex = word("digest").strip_prefix("sha256:").expect("a digest");
    let file = deployment.data().join(format!("plugins/{hex}.wasm"));
    let damages: [(&dyn Fn(), &str); 2] = [
        (&|| std::fs::remove_file(&file).expect("it is there"), "no component"),
        (&|| std::fs::write(&file, "\0asm").expect("it is there"), "has 4 bytes instead of"),
    ];
    for (damage, expect) in damages {
        damage();
        let said = found(&deployment);
        assert!(said[1].starts_with("plugin examples/shapes@") && said[1].contains(expect), "{said:?}");
        assert!(said[1].contains("'stepwright plugin add' of the same file"), "{said:?}");
        assert!(deployment.succeed(&["plugin", "add", &component]).contains("is whole again"));
        assert!(deployment.succeed(&["doctor"]).starts_with("0 unfinished"));
        assert!(!deployment.succeed(&["plugin", "add", &component]).contains("is whole again"));
    }
    // Nobody may start anything with what is disabled, so nobody misses it.
    std::fs::remove_file(&file).expect("it is there");
    let version = format!("{}@{}", word("name"), word("version"));
    deployment.succeed(&["plugin", "disable", &version, "--reason", "gone"]);
    deployment.succeed(&["doctor"]);
}
