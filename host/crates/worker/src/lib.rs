//! The worker: takes batches of steps from an orchestrator, runs them on its slots, reports every outcome twice.
//!
//! ```text
//!                    batch                    job
//!   orchestrator ───────────▶ Worker ─────────────────▶ slot ──▶ Executor
//!        ▲                      │  ▲                      │
//!        │   partial_result,    │  └──────────────────────┘ ended
//!        └──────────────────────┘
//!            batch_completion
//! ```
//!
//! A process has one worker for each orchestrator that it works for; they share its slots and its credit (`Pool`).
//! The worker owns the port and what it holds; each slot runs one attempt at a time. An outcome is kept until
//! the orchestrator has acknowledged it. This crate knows nothing of the store, of templates or of a task's graph: a batch
//! carries all that its steps need.

mod attempt;
mod drain;
mod end;
mod fetch;
mod held;
mod link;
mod options;
mod peers;
mod pool;
mod slots;
mod tail;
mod worker;

pub use end::{WorkerEnd, WorkerError};
pub use fetch::Fetches;
pub use options::WorkerOptions;
pub use peers::{Heard, News};
pub use pool::{Pool, Share};
pub use worker::Worker;
