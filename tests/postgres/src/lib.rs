//! A PostgreSQL for tests: the one that `DATABASE_URL` names, or else a throw-away cluster that `initdb` makes.
//!
//! There is no third way: without either, a test fails with a sentence that says what to install. It is never skipped.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on should say so and end")]

mod cluster;
#[cfg(feature = "database")]
mod database;

pub use cluster::{Cluster, Durability, programs};
#[cfg(feature = "database")]
pub use database::Database;
