//! The disk with the SQLite database is full for a while, in the middle of five hundred tasks. The orchestrator says so, confirms
//! nothing that it could not write, and goes on by itself once there is room.

use stepwright_store::Store as _;
use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use stepwright_tests::disk::Disk;
use stepwright_tests::mixed::{self, Faults, Mixed};
use stepwright_tests::processes::{Deployment, Process};

/// What it says, in each round that it tries in vain.
const COMPLAINT: &str = "is the disk full or gone?";

async fn full_for_a_while(disk: Disk, test: &str) {
    let path = disk.path().join("tasks.db");
    let deployment = Deployment::at(path.to_string_lossy().into_owned());
    let mut faults = Faults::default();
    // Workers must not be given up for want of a processor: then nothing but a full disk could lose an attempt.
    let patience =
        ["orchestrator.heartbeat=10s", "orchestrator.lease=60s", "orchestrator.reconnect_grace=30s"];
    let mut arguments = vec!["orchestrate"];
    arguments.extend(patience.iter().flat_map(|setting| ["--set", setting]));
    let orchestrator = Process::start_logged(disk.on(&deployment.command(&arguments)));
    let workers = ["a", "b", "c", "d"].map(|name| deployment.work(name, 1));
    let mut mixed = Mixed::start(&deployment);
    for (times, settled) in [(1, 20), (2, 60), (3, 100)] {
        mixed.until_settled(settled);
        disk.fill(orchestrator.pid());
        faults.count("disk full");
        // Several rounds in a row have failed by then.
        orchestrator.until_logged(COMPLAINT, 5 * times);
        disk.make_room(orchestrator.pid());
    }
    mixed.finish();
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
