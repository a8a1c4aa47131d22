//! The SQLite store: the suite that every engine runs, for a file and in memory, and what only a file can get wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod durability;
mod opening;
mod queries;
mod schema;

use stepwright_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

async fn file() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("tasks.db"), SqliteOptions::default()).await.unwrap();
    (store, folder)
}

async fn memory() -> (SqliteStore, ()) {
    (SqliteStore::in_memory().await.unwrap(), ())
}

mod in_a_file {
    stepwright_store::conformance!(crate::file);
}

mod in_memory {
    stepwright_store::conformance!(crate::memory);
}
