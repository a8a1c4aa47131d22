//! A server that goes down and comes back.

use stepwright_postgres_harness::{Database, Durability};
use stepwright_store::{Store as _, StoreError};
use stepwright_workflow::Timestamp;

use crate::connected;

#[tokio::test]
async fn a_store_works_on_when_its_server_is_back() {
    let database = Database::of_its_own(Durability::Full).await;
    let store = connected(&database).await;
    let mut round = store.round().await.unwrap();
    assert!(round.claimable(1).await.unwrap().is_empty());
    database.cluster().unwrap().crash_and_restart().unwrap();
    let error = match round.claimable(1).await {
        Ok(_) => panic!("the connection must be gone"),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    drop(round);
    // Connections that were idle are found dead one after another; each costs one try.
    let mut tries = 0;
    while let Err(error) = store.glance(Timestamp(0)).await {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        tries += 1;
        assert!(tries < 10, "{error}");
    }
    store.round().await.unwrap().commit().await.unwrap();
}
