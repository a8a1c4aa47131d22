//! An idle orchestrator with ten workers hardly asks anything of its database. Statements are counted, not time: a minute of the
//! simulation's clock, which stands still while the database answers, also where that is a real PostgreSQL.

use stepwright_postgres_harness::Database;
use stepwright_store::StoreCounters;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_store_sqlite::SqliteStore;
use stepwright_tests::sim::idle_minute;

fn check(engine: &str, counted: StoreCounters) {
    let StoreCounters { statements, commits } = counted;
    eprintln!("{engine}, idle, 10 workers: {statements} statements and {commits} commits a minute");
    // Looking once in a second is sixty of them.
    assert!((60..120).contains(&statements), "{statements} statements in an idle minute");
    assert!(commits < 40, "{commits} commits in an idle minute");
}

#[test]
fn an_idle_minute_at_sqlite() {
    check("SQLite", idle_minute(async { SqliteStore::in_memory().await.expect("a database in memory") }, 10));
}

#[test]
fn an_idle_minute_at_postgresql() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(Database::fresh());
    let url = database.url();
    let open = async { PostgresStore::connect(&url, PostgresOptions::default()).await.expect("it opens") };
    check("PostgreSQL", idle_minute(open, 10));
}
