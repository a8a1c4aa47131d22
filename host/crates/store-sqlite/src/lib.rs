//! The store in SQLite: one file, one writer at a time, durable at every commit.
//!
//! Statements stand in `queries/*.sql` and are checked against the schema when this crate is compiled. Several items are
//! handed to a statement as one JSON array, so that the number of statements does not depend on the number of items.
//!
//! `cargo xtask sqlx` describes the queries anew in `.sqlx/` after a query or a migration has changed.

mod catalog;
mod encode;
mod error;
mod events;
mod ledger;
mod lock;
mod orchestrators;
mod performance;
mod reads;
mod retention;
mod round;
mod schema;
mod store;
mod tokens;
mod webhooks;

pub use lock::{LockError, OrchestratorLock};
pub use store::{SqliteOptions, SqliteStore};
