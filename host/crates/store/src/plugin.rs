//! Registered versions of plugins: what is known of them, and what may be done with them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stepwright_workflow::{Digest, Payload, Timestamp};

use crate::Result;
use crate::column::{digest, json, number, parsed, payload};
use crate::record::UnknownWord;

/// A plugin version to register. Its bytes are kept elsewhere, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlugin {
    /// The component.
    pub digest: Digest,
    /// `namespace/name`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The component's size in bytes.
    pub bytes: u64,
    /// What it said of itself, as JSON.
    pub description: Payload,
    /// Where the component came from: `file`, or `oci://…`.
    pub source: String,
    /// Signatures of its digest, as a JSON list.
    pub signatures: Payload,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// A registered plugin version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginRecord {
    /// The component.
    pub digest: Digest,
    /// `namespace/name`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The component's size in bytes.
    pub bytes: u64,
    /// What it said of itself, as JSON.
    pub description: Payload,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// What may be done with it.
    pub state: PluginState,
    /// Who last changed that; nobody yet if there is nothing.
    pub changed: Option<PluginDeed>,
    /// Where the component came from: `file`, or `oci://…`.
    pub source: String,
    /// Signatures of its digest, as a JSON list.
    pub signatures: Payload,
    /// The interfaces that it imports; not known of what was registered before that was kept.
    pub imports: Option<Vec<String>>,
}

impl PluginRecord {
    /// `namespace/name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// What may be done with a version of a plugin. Tasks that have pinned it keep it in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// New tasks may use it.
    Enabled,
    /// Nothing new resolves to it.
    Disabled,
    /// Only a requirement that names exactly this version resolves to it.
    Yanked,
    /// Disabled, and its digest is paused.
    Quarantined,
}

impl PluginState {
    /// The state's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Yanked => "yanked",
            Self::Quarantined => "quarantined",
        }
    }
}

impl FromStr for PluginState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownWord> {
        [Self::Enabled, Self::Disabled, Self::Yanked, Self::Quarantined]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text))
    }
}

/// Who changed a plugin's state, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginDeed {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

/// A new state for versions of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginChange {
    /// `namespace/name`.
    pub name: String,
    /// Which versions.
    pub versions: Vec<String>,
    /// Their new state.
    pub to: PluginState,
    /// By whom, when, and why.
    pub deed: PluginDeed,
}

/// A plugin version's row.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `PluginRecord`")]
pub struct PluginRow {
    pub name: String,
    pub version: String,
    pub digest: Vec<u8>,
    pub bytes: i64,
    pub description: String,
    pub registered_at: i64,
    pub state: String,
    pub changed_at: Option<i64>,
    pub changed_by: Option<String>,
    pub changed_why: Option<String>,
    pub source: String,
    pub signatures: String,
    pub imports: Option<String>,
}

impl PluginRow {
    /// What the row says.
    pub fn record(self) -> Result<PluginRecord> {
        let changed = self.changed_at.map(|at| PluginDeed {
            at: Timestamp(at),
            who: self.changed_by.unwrap_or_default(),
            why: self.changed_why.unwrap_or_default(),
        });
        Ok(PluginRecord {
            digest: digest("plugins.digest", &self.digest)?,
            name: self.name,
            version: self.version,
            bytes: number("plugins.bytes", self.bytes)?,
            description: payload("plugins.description", self.description)?,
            registered_at: Timestamp(self.registered_at),
            state: parsed("plugins.state", &self.state)?,
            changed,
            source: self.source,
            signatures: payload("plugins.signatures", self.signatures)?,
            imports: self.imports.map(|text| json("plugins.imports", &text)).transpose()?,
        })
    }
}
