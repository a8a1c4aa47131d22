//! The hostile guests: 28 kinds of attack on whoever runs plugins, what becomes of each, and how the host is afterwards.
//!
//! ```text
//! Guest ─▶ scenario ─▶ attack ─▶ Ground: sandbox, executor, folders ─▶ what was seen ─┐
//!                                  └─ health before ─────── health after ────────────┴─▶ AttackReport
//! ```
//!
//! The same corpus is a test of the repository and the operator's own check of a machine (`stepwright conformance`). This crate
//! knows the executor alone: no store, no transport, no orchestrator.

mod attack;
mod corpus;
mod ground;
mod guest;
mod health;
mod misdeeds;
mod report;
mod run;
mod scenario;
mod victim;

pub use corpus::{Corpus, CorpusError};
pub use ground::tightened;
pub use guest::Guest;
pub use misdeeds::{MISDEEDS, Misdeed};
pub use report::{AttackReport, GuestReport, Report};
pub use run::{Conformance, StartError};
pub use victim::{Victim, die_of_a_guest};
