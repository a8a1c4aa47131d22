//! Which orchestrators there are.

use super::{NOW, at, committed, payload, worker};
use crate::{NewOrchestrator, NewWorker, OrchestratorRecord, Store, WorkerState};

pub(super) fn orchestrator(incarnation: &str, endpoints: &[&str]) -> NewOrchestrator {
    NewOrchestrator {
        incarnation: incarnation.to_owned(),
        host: "machine".to_owned(),
        pid: 4_711,
        pump: 1,
        pumps: 2,
        endpoints: endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect(),
        started_at: NOW,
        totals: payload("{\"rounds\":7}"),
    }
}

async fn incarnations(store: &dyn Store) -> Vec<String> {
    store.orchestrators().await.unwrap().into_iter().map(|record| record.incarnation).collect()
}

/// With everything that it said; said again, only the moment changes.
pub async fn an_orchestrator_is_listed_until_it_is_dismissed(store: &dyn Store) {
    assert_eq!(store.orchestrators().await.unwrap(), []);
    let endpoints = ["ipc://machine/run/orchestrator.sock", "tcp://10.0.0.1:5555"];
    let said = orchestrator("o-1", &endpoints);
    store.enrol(&said, NOW).await.unwrap();
    store.enrol(&said, at(5)).await.unwrap();
    let expected = OrchestratorRecord {
        incarnation: "o-1".to_owned(),
        host: "machine".to_owned(),
        pid: 4_711,
        pump: 1,
        pumps: 2,
        endpoints: endpoints.map(str::to_owned).to_vec(),
        started_at: NOW,
        seen_at: at(5),
        totals: payload("{\"rounds\":7}"),
        workers: 0,
    };
    assert_eq!(store.orchestrators().await.unwrap(), [expected]);
    store.dismiss("another", NOW).await.unwrap();
    assert_eq!(incarnations(store).await, ["o-1"]);
    store.dismiss("o-1", NOW).await.unwrap();
    assert_eq!(store.orchestrators().await.unwrap(), []);
}

/// By its first endpoint; those without any have no place to be taken.
pub async fn a_restarted_orchestrator_takes_over_its_place(store: &dyn Store) {
    store.enrol(&orchestrator("o-1", &["ipc://machine/a"]), NOW).await.unwrap();
    store.enrol(&orchestrator("p-1", &["ipc://machine/b"]), NOW).await.unwrap();
    let again = NewOrchestrator { started_at: at(9), ..orchestrator("o-2", &["ipc://machine/a"]) };
    store.enrol(&again, at(9)).await.unwrap();
    assert_eq!(incarnations(store).await, ["p-1", "o-2"]);
    store.enrol(&orchestrator("q-1", &[]), NOW).await.unwrap();
    store.enrol(&orchestrator("q-2", &[]), NOW).await.unwrap();
    assert_eq!(incarnations(store).await, ["p-1", "q-1", "q-2", "o-2"]);
}

/// Whoever was seen at that very moment stays.
pub async fn orchestrators_that_were_not_seen_are_dismissed_together(store: &dyn Store) {
    for (number, place) in ["a", "b", "c"].iter().enumerate() {
        let incarnation = format!("o-{place}");
        store.enrol(&orchestrator(&incarnation, &[place]), at(number as i64)).await.unwrap();
    }
    store.dismiss("nobody", at(1)).await.unwrap();
    assert_eq!(incarnations(store).await, ["o-b", "o-c"]);
    store.dismiss("o-c", at(1)).await.unwrap();
    assert_eq!(incarnations(store).await, ["o-b"]);
}

/// Not those that left, nor those that joined another since.
pub async fn an_orchestrator_is_listed_with_the_workers_it_speaks_for(store: &dyn Store) {
    for incarnation in ["o", "p"] {
        store.enrol(&orchestrator(incarnation, &[incarnation]), NOW).await.unwrap();
    }
    let join = async |incarnation: &str, orchestrator: &str| {
        let new = NewWorker { orchestrator: orchestrator.to_owned(), ..worker("w", incarnation) };
        committed!(store, join(&new, at(10), NOW))
    };
    let _stays = join("w-1", "o").await;
    let leaves = join("w-2", "o").await;
    let _moves = join("w-3", "o").await;
    join("w-3", "p").await;
    committed!(store, leave(&[(leaves, WorkerState::Left)], "o", NOW));
    let listed: Vec<_> = store.orchestrators().await.unwrap();
    let counts: Vec<_> = listed.iter().map(|record| (&*record.incarnation, record.workers)).collect();
    assert_eq!(counts, [("o", 1), ("p", 1)]);
}
