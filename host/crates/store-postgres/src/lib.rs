//! The store in PostgreSQL, version 13 and later: any number of orchestrators around one database.
//!
//! Statements stand in `queries/*.sql` under the names that the SQLite store gives them, and are checked against the schema
//! when this crate is compiled. Several items are handed to a statement as arrays, so that the number of statements does not
//! depend on the number of items. Everything that must agree is written by one statement: a step that becomes ready and its
//! place in the ready queue, an attempt that ends and its line in the ledger.
//!
//! `cargo xtask sqlx` describes the queries anew in `.sqlx/` after a query or a migration has changed.

mod catalog;
mod encode;
mod error;
mod events;
mod ledger;
mod orchestrators;
mod performance;
mod reads;
mod retention;
mod round;
mod schema;
mod store;
mod tokens;
mod webhooks;

pub use store::{PostgresOptions, PostgresStore};
