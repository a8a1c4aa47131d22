//! Workers that are told of one orchestrator find the others, and share what they have among all of them.

use stepwright_postgres_harness::Database;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_tests::mixed::{self, Faults, Mixed};
use stepwright_tests::processes::{Deployment, Process};

/// Steps that a worker may hold in all.
const CREDIT: u64 = 8;

/// Looks again and again: no worker may ever hold more than it was given, whatever the number of its links. Goes on until one was seen
/// to hold more than one of its two links may give it.
fn watch_credit(deployment: &Deployment, names: &[&str]) {
    let (mut most, mut looks) = (0, 0);
    loop {
        let listed = deployment.json(&["worker", "list", "--all"]);
        let links = listed["workers"].as_array().expect("workers");
        for name in names {
            let named = links.iter().filter(|link| link["name"] == *name);
            let held: u64 = named.map(|link| link["steps_held"].as_u64().expect("a number")).sum();
            assert!(held <= CREDIT, "{name} holds {held} of {CREDIT} steps: {links:?}");
            most = most.max(held);
        }
        looks += 1;
        if looks > 20 && most > CREDIT / 2 {
            return;
        }
    }
}

#[tokio::test]
async fn workers_told_of_one_orchestrator_serve_both() {
    let database = Database::fresh().await;
    let deployment = Deployment::at(database.url());
    let mut faults = Faults::default();
    let first = deployment.orchestrate(0);
    let credit = format!("worker.credit={CREDIT}");
    let start = |name: &str| {
        let mut command = deployment.work_command(name, 1);
        command.args(["--set", &credit]);
        Process::start(command)
    };
    let a = start("a");
    deployment.until_linked(1, 1);
    let second = deployment.orchestrate(1);
    let b = start("b");
    let before = deployment.until_linked(2, 2);
    let mixed = Mixed::start(&deployment);
    watch_credit(&deployment, &["a", "b"]);
    // One that is started anew is another orchestrator at the same place.
    second.kill();
    faults.count("orchestrator killed");
    let second = deployment.orchestrate(1);
    let after = loop {
        let found = deployment.until_linked(2, 2);
        // Until the new one has taken the place over, the one that was killed is listed.
        if found != before {
            break found;
        }
    };
    assert_eq!(before.iter().filter(|incarnation| after.contains(incarnation)).count(), 1);
    // And the only one that they were told of may be gone for good.
    assert_eq!(first.terminate(), Some(0));
    faults.count("orchestrator stopped");
    assert_eq!(deployment.orchestrators().len(), 1);
    mixed.finish();
    for worker in [a, b] {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(deployment.orchestrators(), []);
    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.expect("it opens");
    faults.report("discovery", mixed::check(&store).await);
}

#[test]
fn more_than_one_pump_at_sqlite_is_refused_with_a_reason() {
    let deployment = Deployment::new();
    let output = deployment.output(&["orchestrate", "--pumps", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("2 pumps at the SQLite file") && stderr.contains("--db postgres://"), "{stderr}");
    let output = deployment.output(&["orchestrate", "--pumps", "0", "--advertise", "here"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("--pumps: orchestrator.pumps: '0' is not a whole number from 1 to 64"),
        "{stderr}"
    );
    assert!(
        stderr.contains("--advertise: orchestrator.advertise: 'here' is not a host and a port"),
        "{stderr}"
    );
}
