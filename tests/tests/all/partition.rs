//! The network between two workers and both orchestrators is cut for longer than a lease, in the middle of five hundred tasks that
//! two others go on with, and mended. Nothing is lost, nothing is applied twice, nothing is stuck.

use stepwright_postgres_harness::Database;
use stepwright_store::Store as _;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_tests::mixed::{self, Faults, Mixed};
use stepwright_tests::partition::Line;
use stepwright_tests::processes::{Deployment, Process};

async fn cut_and_mended(line: Line, test: &str) {
    let database = Database::fresh().await;
    let deployment = Deployment::at(database.url());
    let mut faults = Faults::default();
    let orchestrators = [0, 1].map(|number| deployment.orchestrate_with_gate(number, &line.listen()));
    let gates = orchestrators.each_ref().map(|(_, gate)| gate.clone());
    let ways = gates.each_ref().map(|gate| line.way_to(gate));
    let cut_off =
        ["a", "b"].map(|name| Process::start_logged(line.behind(&deployment.work_through(name, &ways))));

    // All of the work is theirs until they are cut off, and far more than they can end while they are asked what they hold: with
    // four workers, a busy machine was asked too late, and nothing was left to be held.
    let mixed = Mixed::start(&deployment);
    for name in ["a", "b"] {
        deployment.until_holding(name, 4);
    }
    line.cut();
    let others = ["c", "d"].map(|name| Process::start(deployment.work_through(name, &gates)));
    for name in ["a", "b"] {
        faults.count("worker cut off for longer than its lease");
        deployment.until_lost(name);
    }
    line.mend();
    for worker in &cut_off {
        worker.until_logged("dropped batches that the orchestrator gave up meanwhile", 1);
    }
    mixed.finish();
    for worker in cut_off.into_iter().chain(others) {
        assert_eq!(worker.terminate(), Some(0));
    }
    for (orchestrator, _) in orchestrators {
        assert_eq!(orchestrator.terminate(), Some(0));
    }
    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.expect("it opens");
    let tally = mixed::check(&store).await;
    assert!(tally.lost_attempts > 0, "the workers that were cut off held steps");
    faults.report(test, tally);
    store.close().await;
}

#[tokio::test]
async fn workers_behind_a_proxy_are_cut_off_and_come_back() {
    cut_and_mended(Line::through_a_proxy(), "partition, proxy").await;
}

#[tokio::test]
async fn workers_in_a_network_namespace_are_cut_off_and_come_back() {
    match Line::out_of_a_namespace() {
        Ok(line) => cut_and_mended(line, "partition, network namespace").await,
        // The same is proved through the proxy, always.
        Err(reason) => {
            eprintln!("no network namespace can be made here, so only the proxy was tried: {reason}");
        }
    }
}
