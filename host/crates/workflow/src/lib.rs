//! The rules of a workflow as pure values and functions: ids, templates, plans, transitions, retry, packing, reconciling.
//!
//! Nothing here reads a clock, opens a file, logs or awaits. Time, randomness and ids come in as parameters, so every
//! rule can be replayed in a property test exactly as the host runs it.

pub mod audit;
pub mod batch;
mod chain;
pub mod clock;
pub mod distribution;
pub mod finalize;
pub mod graph;
pub mod health;
pub mod ids;
pub mod insight;
pub mod outcome;
pub mod pause;
pub mod payload;
pub mod plan;
pub mod reconcile;
pub mod retry;
pub mod step;
pub mod task;
pub mod template;
pub mod when;

pub use chain::chain;
pub use clock::{Clock, Timestamp};
pub use ids::{AttemptKey, BatchId, Digest, NotANumber, PlanId, StepId, TaskId, TokenId, WorkerId};
pub use outcome::{Failure, FailureClass, Outcome};
pub use payload::Payload;
pub use plan::{EXTERNAL, Plan, PlanStep, StepLimits, external_digest, plugin_reference};
