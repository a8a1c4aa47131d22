//! What is paused, and what may be killing workers.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Digest, Timestamp};

/// A mark under which nothing is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PauseRecord {
    /// What is paused.
    #[serde(serialize_with = "target")]
    #[serde(flatten)]
    pub target: PauseTarget,
    /// Since when.
    pub since: Timestamp,
    /// Who paused it.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

fn target<S: Serializer>(target: &PauseTarget, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("PauseTarget", 2)?;
    fields.serialize_field("scope", target.scope().as_str())?;
    fields.serialize_field("name", &target.name())?;
    fields.end()
}

/// A component that was held by workers when they were lost, and of which nothing has completed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuspectRecord {
    /// The component.
    pub digest: Digest,
    /// How many times in a row.
    pub losses: u32,
    /// The last time.
    pub last_at: Timestamp,
}
