//! What is paused.

use serde::Serialize;
use stepwright_store::PauseRecord;
use utoipa::ToSchema;

use super::word;

/// A mark under which nothing new begins.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pause {
    /// What is paused.
    pub target: PausedThing,
    /// Since when.
    pub since: i64,
    /// Who paused it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// What is paused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PausedThing {
    /// What kind of thing.
    pub kind: word::PauseKind,
    /// Its name: a task's number, `namespace/name`, a namespace, or a digest.
    pub name: String,
}

impl From<PauseRecord> for Pause {
    fn from(pause: PauseRecord) -> Self {
        let target = PausedThing { kind: pause.target.scope().into(), name: pause.target.name() };
        Self { target, since: pause.since.0, by: pause.who, reason: pause.why }
    }
}

/// Everything that is paused.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseList {
    /// The oldest first.
    pub pauses: Vec<Pause>,
}

/// What was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseChange {
    /// It.
    pub target: PausedThing,
    /// Whether this changed anything.
    pub changed: bool,
}
