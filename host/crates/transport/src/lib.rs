//! The wire between orchestrator and workers: messages, their encoding, and the ports that carry them.
//!
//! This crate knows nothing of the store, the executor, or what a batch means.

mod backlog;
pub mod codec;
pub mod gate;
pub mod joined;
pub mod local;
pub mod port;
pub mod wire;
pub mod zmq;
