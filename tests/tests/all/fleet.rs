//! Two orchestrators and four workers at one PostgreSQL, and everything that can go wrong between them in the middle of five
//! hundred tasks: processes are killed and suspended, connections are cut, and the server crashes. Nothing is lost, nothing is
//! applied twice, nothing is stuck.

use sqlx::{Connection as _, Executor as _, PgConnection};
use stepwright_postgres_harness::{Database, Durability};
use stepwright_store::{AttemptRecord, AttemptStatus, Store, TaskFilter};
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_tests::mixed::{self, Faults, Mixed};
use stepwright_tests::processes::{Deployment, Process};

async fn cut_connections(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.execute(cut).await.expect("connections are cut");
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_stuck_whatever_fails() {
    let database = Database::of_its_own(Durability::Full).await;
    let deployment = Deployment::at(database.url());
    let mut faults = Faults::default();
    let first = deployment.orchestrate(0);
    let second = deployment.orchestrate(1);
    let b = Process::start_logged(deployment.work_command("b", 2));

    // What waits for steps to be held comes first, when one worker has all of them and no end of them is in sight.
    let mut mixed = Mixed::start(&deployment);
    deployment.until_holding("b", 4);
    b.suspend();
    let [a, c, d] = ["a", "c", "d"].map(|name| deployment.work(name, 2));
    faults.count("worker suspended for longer than its lease");
    mixed.until_settled(10);
    a.kill();
    faults.count("worker killed");
    mixed.until_settled(30);
    first.kill();
    faults.count("orchestrator killed");
    mixed.until_settled(50);
    database.cluster().expect("a cluster of its own").crash_and_restart().expect("the server comes back");
    faults.count("database crashed");
    let first = deployment.orchestrate(0);
    mixed.until_settled(80);
    cut_connections(&database.url()).await;
    faults.count("connections to the database cut");
    mixed.until_settled(100);
    second.kill();
    faults.count("orchestrator killed");
    let e = deployment.work("e", 2);
    mixed.until_settled(120);
    let second = deployment.orchestrate(1);
    deployment.until_lost("b");
    b.resume();
    // It finishes what it held, and learns that all of that is somebody else's by now.
    b.until_logged("dropped batches that the orchestrator gave up meanwhile", 1);
    mixed.finish();
    for worker in [b, c, d, e] {
        assert_eq!(worker.terminate(), Some(0));
    }
    for orchestrator in [first, second] {
        assert_eq!(orchestrator.terminate(), Some(0));
    }

    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.expect("it opens");
    let tally = mixed::check(&store).await;
    assert!(suspended_in_vain(&store, "b").await > 0, "the suspended worker held steps");
    faults.report("fleet", tally);
    store.close().await;
}

/// Attempts that a worker held when it was suspended: each stands in the ledger as lost, whatever the worker made of it
/// afterwards, and another attempt of the step was completed instead.
async fn suspended_in_vain(store: &dyn Store, worker: &str) -> usize {
    let mut lost = 0;
    let all = TaskFilter { limit: 10_000, ..TaskFilter::default() };
    for task in store.tasks(&all).await.expect("tasks") {
        let attempts = store.attempts(task.id).await.expect("the ledger");
        let is_lost =
            |line: &&AttemptRecord| line.worker_name == worker && line.status == AttemptStatus::Lost;
        for line in attempts.iter().filter(is_lost) {
            let instead = attempts
                .iter()
                .find(|other| (other.step, other.status) == (line.step, AttemptStatus::Completed));
            assert!(instead.is_some_and(|other| other.attempt > line.attempt), "{line:?}");
            lost += 1;
        }
    }
    lost
}
