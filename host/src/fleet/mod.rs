//! The orchestrators that a worker process works for: those that it was told of, and those that it hears of from them.
//!
//! ```text
//!   orchestrator ══ welcome, heartbeat: who there is ══▶ a link's worker ──▶ roster ──▶ Places ──▶ Links
//!   orchestrator ◀═════════════ a link of its own ══════════════════════════════════════════════════┘
//! ```
//!
//! `Places` decides, `Links` opens and closes. What is decided is what to have a link to; which steps come through it is the
//! orchestrators' business.

mod links;
mod places;

pub(crate) use links::Links;
pub(crate) use places::written;
