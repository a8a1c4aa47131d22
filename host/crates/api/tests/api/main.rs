//! The API before a real database, without a network. Every answer is compared with the document.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say so and end"
)]

mod events;
mod problems;
mod rig;
mod scopes;
mod tasks;
mod things;
