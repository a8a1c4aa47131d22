//! Decides which steps run where, and what their outcomes mean, in front of one database.
//!
//! ```text
//!   workers ══ events ══▶ intake ──▶ gathered ─┐ while a round commits, the next one gathers
//!   handle  ── start ───────────────▶ gathered ─┤
//!   tick, wake ─────────────────────▶ gathered ─┴─▶ round: outcomes in, dependants released, tasks settled, steps claimed
//!                                                    │ one transaction, one commit
//!   workers ◀══ ack, resend, cancel, batch ══════════┴─▶ whoever waits for a task
//! ```
//!
//! The pump owns the connections and what is gathered; a round owns the transaction. Nothing is acknowledged and no batch
//! leaves before its commit. This crate knows no SQL, no socket and no WebAssembly.

pub mod archive;
pub mod audit;
mod book;
pub mod catalog;
pub mod feed;
mod handle;
pub mod operator;
mod options;
pub mod pauses;
mod plans;
pub mod plugins;
pub mod pruner;
mod pump;
pub mod request;
mod round;
mod session;
mod stats;
pub mod supply;
pub mod sweep;
pub mod webhooks;

pub use handle::{HandleError, OrchestratorHandle};
pub use options::{Listing, OrchestratorOptions, Random};
pub use pump::{Orchestrator, OrchestratorError};
pub use stats::OrchestratorStats;
