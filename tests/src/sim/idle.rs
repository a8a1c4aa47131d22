//! What an orchestrator costs its database while nothing is to be done.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stepwright_orchestrator::{Listing, Orchestrator, OrchestratorOptions};
use stepwright_store::{Store, StoreCounters};
use stepwright_transport::local;
use stepwright_worker::{Worker, WorkerOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::adversary::{Adversary, Sabotage};
use super::store::{SimStore, blocking};
use super::world::{self, SimClock};

/// Statements and commits of a listed orchestrator with so many idle workers, in one minute of a clock that waits for the
/// database. The workers join one after another, so that their leases do not end at the same moment by chance.
pub fn idle_minute<S: Store>(open: impl Future<Output = S>, workers: u64) -> StoreCounters {
    let store = Arc::new(blocking(open));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime for the simulation");
    let counted = runtime.block_on(idle(store.clone(), workers));
    blocking(store.close());
    counted
}

#[allow(clippy::disallowed_methods, reason = "a set that is joined at the end")]
async fn idle(store: Arc<dyn Store>, workers: u64) -> StoreCounters {
    let clock = Arc::new(SimClock { began: Instant::now(), skew_ms: 0 });
    let (port, hub) = local::hub();
    let quiet = SimStore::quiet(store.clone());
    let options = OrchestratorOptions::new("idle");
    let (orchestrator, _handle) =
        Orchestrator::new(options, quiet, Box::new(port), clock.clone(), Arc::new(|| 0));
    let endpoints = vec!["ipc://machine/orchestrator.sock".to_owned()];
    let listing = Listing { host: "machine".to_owned(), pid: 1, pump: 1, pumps: 1, endpoints };
    let mut running = JoinSet::new();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    running.spawn(async move { format!("{:?}", orchestrator.listed(listing).run(stopped).await) });
    let adversary = Arc::new(Adversary::new(0, Sabotage::None));
    for number in 0..workers {
        sleep(Duration::from_millis(370)).await;
        let executor = Arc::new(world::executor(0, clock.clone(), adversary.clone()));
        let options = WorkerOptions::new(format!("w-{number}"), format!("w-{number}"), 2);
        let worker = Worker::new(Box::new(hub.connect()), executor, clock.clone(), options);
        let stopped = stop.clone();
        running.spawn(async move { format!("{:?}", worker.run(stopped, CancellationToken::new()).await) });
    }
    sleep(Duration::from_secs(20)).await;
    let joined = blocking(store.workers(None, 1_000)).expect("the workers");
    assert_eq!(joined.len() as u64, workers, "every worker has joined");
    let before = store.counters();
    sleep(Duration::from_secs(60)).await;
    let after = store.counters();
    stop.cancel();
    running.join_all().await;
    StoreCounters {
        statements: after.statements - before.statements,
        commits: after.commits - before.commits,
    }
}
