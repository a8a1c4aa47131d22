//! How an orchestrator and its workers talk: the messages, their encoding, and the two ways to carry them.
//!
//! This crate moves messages. It does not know what a batch means, and never sees the store or the executor.

pub mod port;
pub mod wire;
