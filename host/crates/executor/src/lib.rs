//! Runs one attempt of one step, in a sandbox made for it and thrown away after it.
//!
//! An attempt that fails is data ([`Outcome`]); `Err` means that the host itself is broken. This crate knows nothing of the
//! store, the transport, or any other step.

mod admission;
pub mod bare;
mod bindings;
mod cache;
pub mod call;
mod compiled;
pub mod compiler;
mod components;
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
pub mod supply;
mod ticker;
mod verdict;
pub mod wanted;
mod wasm;

pub use cache::CacheCounts;
pub use call::{Control, Executor, HostBroken, LogLine, ParentOutput, Receipt, StepCall, StepReport};
pub use compiled::CompiledFolder;
pub use compiler::{Compiler, CompilerProcess};
pub use components::{ComponentCache, Components, Trust, TrustCheck};
pub use egress::{Egress, EgressOptions};
pub use engine::{EngineOptions, StartError};
pub use grants::{GrantBook, GrantEntry, Grants};
pub use inspect::{Inspection, Refusal, inspect, inspect_and_keep};
pub use sandbox::Sandbox;
pub use scripted::{Scripted, ScriptedExecutor};
pub use stepwright_registry::Signature;
pub use stepwright_workflow::Outcome;
pub use supply::{Fetched, Order, Supply};
pub use wanted::Observations;
pub use wasm::WasmExecutor;
