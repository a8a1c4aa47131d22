//! Runs one attempt of one step, in a sandbox made for it and thrown away after it.
//!
//! An attempt that fails is data ([`Outcome`]); `Err` means that the host itself is broken. This crate knows nothing of the
//! store, the transport, or any other step.

pub mod bare;
mod bindings;
mod cache;
pub mod call;
mod compiled;
pub mod egress;
mod engine;
mod entropy;
mod files;
pub mod grants;
pub mod inspect;
mod journal;
pub mod limit_table;
mod limits;
mod meter;
mod output;
mod reach;
mod redact;
mod sandbox;
pub mod scripted;
mod state;
mod ticker;
mod verdict;
pub mod wanted;
mod wasm;

pub use cache::CacheCounts;
pub use call::{Control, Executor, HostBroken, LogLine, ParentOutput, Receipt, StepCall, StepReport};
pub use compiled::CompiledFolder;
pub use egress::{Egress, EgressOptions};
pub use engine::{EngineOptions, StartError};
pub use grants::{GrantBook, GrantEntry, Grants};
pub use inspect::{Inspection, Refusal, inspect};
pub use sandbox::Sandbox;
pub use scripted::{Scripted, ScriptedExecutor};
pub use stepwright_workflow::Outcome;
pub use wanted::Observations;
pub use wasm::WasmExecutor;
