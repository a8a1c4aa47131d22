//! The disk with the SQLite database is full for a while, in the middle of five hundred tasks. The orchestrator says so, confirms
//! nothing that it could not write, and goes on by itself once there is room.

use serde_json::{Value, json};
use stepwright_store::Store as _;
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_tests::disk::Disk;
use stepwright_tests::http::Client;
use stepwright_tests::mixed::{self, Faults, Mixed};
use stepwright_tests::processes::{Deployment, Process};

/// What it says of the fourth round in a row that it tried in vain, once each time that the disk is full.
const COMPLAINT: &str = "\"in_a_row\":4,";
/// What it says of the first round that it commits again.
const RELIEF: &str = "rounds are committed again";

async fn full_for_a_while(disk: Disk, test: &str) {
    let path = disk.path().join("tasks.db");
    let deployment = Deployment::at(path.to_string_lossy().into_owned());
    let mut faults = Faults::default();
    // Workers must not be given up for want of a processor: then nothing but a full disk could lose an attempt.
    let patience =
        ["orchestrator.heartbeat=10s", "orchestrator.lease=60s", "orchestrator.reconnect_grace=30s"];
    let mut arguments = vec!["--json", "orchestrate", "--api-listen", "127.0.0.1:0"];
    arguments.extend(patience.iter().flat_map(|setting| ["--set", setting]));
    let orchestrator = Process::start_logged(disk.on(&deployment.command(&arguments)));
    let said: Value = serde_json::from_str(orchestrator.ready()).expect("JSON");
    let client = Client::new(said["api"].as_str().expect("it serves the API"));
    let workers = ["a", "b", "c", "d"].map(|name| deployment.work(name, 1));
    let mut mixed = Mixed::start(&deployment);
    for (times, settled) in [(1, 20), (2, 60), (3, 100)] {
        mixed.until_settled(settled);
        disk.fill(orchestrator.pid());
        faults.count("disk full");
        orchestrator.until_logged(COMPLAINT, times);
        let ready = client.get("/v1/ready");
        assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("unavailable")));
        disk.make_room(orchestrator.pid());
        while client.get("/v1/ready").status != 200 {}
    }
    orchestrator.until_logged(RELIEF, 3);
    mixed.finish();
    assert_eq!(client.get("/v1/ready").status, 200);
    for worker in workers {
        assert_eq!(worker.terminate(), Some(0));
    }
    assert_eq!(orchestrator.terminate(), Some(0));
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.expect("the database opens");
    let tally = mixed::check(&store).await;
    // Every worker lived through it. An outcome that was confirmed and not kept would be gone for good: its attempt would have
    // been lost.
    assert_eq!(tally.lost_attempts, 0, "an outcome was confirmed that was not written");
    faults.report(test, tally);
    store.close().await;
}

#[tokio::test]
async fn an_orchestrator_that_may_not_write_goes_on_when_it_may() {
    full_for_a_while(Disk::limited(), "disk full, limit on files").await;
}

#[tokio::test]
async fn an_orchestrator_on_a_full_disk_goes_on_when_there_is_room() {
    match Disk::small(24) {
        Ok(disk) => full_for_a_while(disk, "disk full, small file system").await,
        // The same is proved with a limit, always.
        Err(reason) => eprintln!("no file system can be made here, so only a limit was tried: {reason}"),
    }
}
