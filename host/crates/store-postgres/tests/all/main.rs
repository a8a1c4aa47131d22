//! The PostgreSQL store: the suite that every engine runs, and what only a server can get wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod crash;
mod opening;
mod order;
mod queries;
mod together;

use stepwright_postgres_harness::Database;
use stepwright_store_postgres::{PostgresOptions, PostgresStore};

async fn connected(database: &Database) -> PostgresStore {
    PostgresStore::connect(&database.url(), PostgresOptions::default()).await.unwrap()
}

async fn server() -> (PostgresStore, Database) {
    let database = Database::fresh().await;
    (connected(&database).await, database)
}

stepwright_store::conformance!(crate::server);
