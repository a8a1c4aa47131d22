//! Plugins, their versions, and what they ask for.

use serde::Serialize;
use stepwright_registry::{Description, HandlerDescription, ParentDescription, Signature, Wishes};
use stepwright_store::PluginRecord;
use utoipa::ToSchema;

use super::{Json, word};
use crate::code::Code;
use crate::problem::Problem;

/// A registered version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginSummary {
    /// `namespace/name`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The component: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// What may be done with it.
    pub state: word::PluginState,
    /// The component's size in bytes.
    pub bytes: u64,
    /// When it was registered.
    pub registered_at: i64,
    /// Where the component came from.
    pub source: String,
    /// One line for a person.
    pub summary: String,
    /// Names of its handlers.
    pub handlers: Vec<String>,
}

/// Versions of plugins, by name and then by registration.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginList {
    /// They.
    pub plugins: Vec<PluginSummary>,
}

/// The versions of one plugin, in the order of their registration.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginVersions {
    /// `namespace/name`.
    pub name: String,
    /// They.
    pub versions: Vec<PluginSummary>,
}

/// Everything that is known of a version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plugin {
    /// `namespace/name`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The component: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// What may be done with it.
    pub state: word::PluginState,
    /// Who last changed that; null if nobody did.
    pub changed: Option<StateChange>,
    /// The component's size in bytes.
    pub bytes: u64,
    /// When it was registered.
    pub registered_at: i64,
    /// Where the component came from.
    pub source: String,
    /// One line for a person.
    pub summary: String,
    /// What it can do.
    pub handlers: Vec<Handler>,
    /// What it would like to be granted.
    pub asked: Asked,
    /// The interfaces that it imports; null where that was not kept.
    pub imports: Option<Vec<String>>,
    /// The ids of the keys that signed it, as they say themselves.
    pub signed_by: Vec<String>,
}

/// Who changed the state of a version, when, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateChange {
    /// When.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// One handler of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub struct Handler {
    /// The name that templates use.
    pub name: String,
    /// One line for a person.
    pub summary: String,
    /// JSON Schema of the task context, as far as the handler reads it; null if it has none.
    #[schema(value_type = Json)]
    pub input_schema: Option<Json>,
    /// JSON Schema of the step's configuration; null if it has none.
    #[schema(value_type = Json)]
    pub config_schema: Option<Json>,
    /// JSON Schema of the output; null if it has none.
    #[schema(value_type = Json)]
    pub output_schema: Option<Json>,
    /// The direct parents whose outputs it reads.
    pub parents: Vec<HandlerParent>,
}

/// A direct parent whose output a handler reads.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandlerParent {
    /// The parent's step name.
    pub step: String,
    /// Whether the handler also works without it.
    pub optional: bool,
    /// JSON Schema of the parent's output, as far as the handler reads it; null if it has none.
    #[schema(value_type = Json)]
    pub schema: Option<Json>,
}

/// What a plugin would like to be granted. Nothing is granted by asking.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Asked {
    /// Hosts to call, as `https://host:port`.
    pub hosts: Vec<String>,
    /// Directories, as the path that the plugin wants to see.
    pub directories: Vec<String>,
    /// Environment variables.
    pub environment: Vec<String>,
    /// Secrets, by name.
    pub secrets: Vec<String>,
}

/// A version that was registered, or had been with the same bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegisteredPlugin {
    /// `namespace/name`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The component: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Whether it is new.
    pub created: bool,
    /// What it asks for, one thing an entry: `https://host:port`, a directory, `env NAME` or `secret NAME`.
    pub asked: Vec<String>,
    /// What of that the settings of this host do not grant.
    pub not_granted: Vec<String>,
    /// What a rule about signatures warns of.
    pub warning: Option<String>,
}

impl RegisteredPlugin {
    /// Everything that a plugin asks for, one thing an entry.
    pub fn asked(wishes: &Wishes) -> Vec<String> {
        let Wishes { hosts, directories, environment, secrets } = wishes;
        let plain = hosts.iter().chain(directories).cloned();
        let variables = environment.iter().map(|name| format!("env {name}"));
        plain.chain(variables).chain(secrets.iter().map(|name| format!("secret {name}"))).collect()
    }
}

fn broken(record: &PluginRecord, error: &serde_json::Error) -> Problem {
    let reference = record.reference();
    tracing::error!(reference, %error, "the description of a plugin in the database is broken");
    Problem::new(Code::Internal, format!("the description of {reference} in the database is broken"))
}

impl TryFrom<PluginRecord> for PluginSummary {
    type Error = Problem;

    fn try_from(record: PluginRecord) -> Result<Self, Problem> {
        let read = record.description.read();
        let description: Description = read.map_err(|error| broken(&record, &error))?;
        Ok(Self {
            name: record.name,
            version: record.version,
            digest: record.digest.to_string(),
            state: record.state.into(),
            bytes: record.bytes,
            registered_at: record.registered_at.0,
            source: record.source,
            summary: description.summary,
            handlers: description.handlers.into_iter().map(|handler| handler.name).collect(),
        })
    }
}

impl TryFrom<PluginRecord> for Plugin {
    type Error = Problem;

    fn try_from(record: PluginRecord) -> Result<Self, Problem> {
        let description = record.description.read().map_err(|error| broken(&record, &error))?;
        let signatures: Vec<Signature> = record.signatures.read().map_err(|error| broken(&record, &error))?;
        let Description { summary, handlers, wishes, .. } = description;
        let Wishes { hosts, directories, environment, secrets } = wishes;
        Ok(Self {
            name: record.name,
            version: record.version,
            digest: record.digest.to_string(),
            state: record.state.into(),
            changed: record.changed.map(|deed| StateChange { at: deed.at.0, by: deed.who, reason: deed.why }),
            bytes: record.bytes,
            registered_at: record.registered_at.0,
            source: record.source,
            summary,
            handlers: handlers.into_iter().map(Handler::from).collect(),
            asked: Asked { hosts, directories, environment, secrets },
            imports: record.imports,
            signed_by: signatures.into_iter().map(|signature| signature.key).collect(),
        })
    }
}

impl From<HandlerDescription> for Handler {
    fn from(handler: HandlerDescription) -> Self {
        let parent = |parent: ParentDescription| HandlerParent {
            step: parent.step,
            optional: parent.optional,
            schema: Json::of_text(parent.schema),
        };
        Self {
            name: handler.name,
            summary: handler.summary,
            input_schema: Json::of_text(handler.input_schema),
            config_schema: Json::of_text(handler.config_schema),
            output_schema: Json::of_text(handler.output_schema),
            parents: handler.parents.into_iter().map(parent).collect(),
        }
    }
}
