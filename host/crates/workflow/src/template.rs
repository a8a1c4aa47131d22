//! Templates: what an author writes, checked as strictly as can be, and resolved to plans.
//!
//! ```text
//!   text ──tree──▶ nodes with positions ──parse──▶ Template ──merge──▶ one environment ──resolve──▶ Plan
//! ```
//!
//! Every problem is reported at once, with file, line, column, field, value, and what would be right. No I/O happens here:
//! registered plugins come in through [`PluginSource`].

mod check;
mod context;
mod fits;
mod merge;
mod parents;
mod parse;
mod problem;
mod read;
pub mod render;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;
mod tree;
pub mod values;

use semver::{Version, VersionReq};

use crate::{Digest, Payload};
use merge::Merged;
use settings::Settings;
use tree::Place;

pub use context::{ContextProblem, ContextProblems, ContextSchema};
pub use problem::{Problem, ResolveProblems, TemplateProblems};

/// The most steps that a template may have after `repeat` is applied. A task of more is better split: every step is a row.
pub const STEPS_MAX: usize = 10_000;

/// A checked template.
#[derive(Debug, Clone)]
pub struct Template {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// What it is for; empty if it does not say.
    pub description: String,
    file: String,
    input_schema: Option<Payload>,
    plugin: Option<PluginRequirement>,
    defaults: Settings,
    steps: Vec<StepDraft>,
    environments: Vec<Environment>,
}

/// `namespace/name@requirement`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PluginRequirement {
    name: String,
    requirement: VersionReq,
    at: Place,
}

impl PluginRequirement {
    fn is_external(&self) -> bool {
        self.name == crate::EXTERNAL
    }
}

/// A step as written, in the template or in an environment.
#[derive(Debug, Clone)]
pub(crate) struct StepDraft {
    name: String,
    /// Where it stands, for messages.
    field: String,
    at: Place,
    plugin: Option<PluginRequirement>,
    handler: Option<(String, Place)>,
    depends_on: Option<Vec<(String, Place)>>,
    config: Option<(serde_json::Map<String, serde_json::Value>, Place)>,
    settings: Settings,
    repeat: Option<u16>,
}

#[derive(Debug, Clone)]
pub(crate) struct Environment {
    name: String,
    defaults: Settings,
    steps: Vec<StepDraft>,
}

/// One version of a plugin, as far as templates are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginOffer {
    /// `namespace/name`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its component.
    pub digest: Digest,
    /// Who may have it.
    pub terms: OfferTerms,
    /// Its handlers.
    pub handlers: Vec<HandlerOffer>,
}

/// Which requirements a version of a plugin may satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferTerms {
    /// Every one that it matches.
    Open,
    /// Only one that names exactly this version, such as `=1.2.3`: it was yanked.
    Exact,
    /// None: it was disabled.
    Closed,
}

/// One handler of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerOffer {
    /// Its name.
    pub name: String,
    /// The JSON Schema of its configuration.
    pub config_schema: Option<Payload>,
    /// The JSON Schema of the context that it reads.
    pub input_schema: Option<Payload>,
    /// The JSON Schema of its output.
    pub output_schema: Option<Payload>,
    /// The direct parents whose outputs it reads.
    pub parents: Vec<ParentOffer>,
}

/// A direct parent whose output a handler reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentOffer {
    /// The parent's step name.
    pub step: String,
    /// Whether the handler also works without it.
    pub optional: bool,
    /// The JSON Schema of what it reads.
    pub schema: Option<Payload>,
}

/// Where registered plugins are found.
pub trait PluginSource {
    /// Every registered version of a plugin.
    fn versions(&self, name: &str) -> Vec<PluginOffer>;
    /// The names of all registered plugins, for messages.
    fn names(&self) -> Vec<String>;
}

impl Template {
    /// Reads a template. `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, TemplateProblems> {
        parse::template(file, text)
    }

    /// `namespace/name@version`.
    pub fn reference(&self) -> String {
        format!("{}/{}@{}", self.namespace, self.name, self.version)
    }

    /// The environments that it names.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        self.environments.iter().map(|environment| environment.name.as_str())
    }

    /// The JSON Schema that a context must satisfy.
    pub fn input_schema(&self) -> Option<&Payload> {
        self.input_schema.as_ref()
    }

    /// Merges one environment, finds every plugin, and gives what tasks run. An environment that the template does not name
    /// changes nothing.
    pub fn resolve(
        &self,
        environment: &str,
        plugins: &dyn PluginSource,
    ) -> Result<crate::Plan, ResolveProblems> {
        resolve::plan(self, environment, plugins)
    }

    fn merged(&self, environment: Option<&str>) -> Merged {
        let chosen = self.environments.iter().find(|candidate| Some(candidate.name.as_str()) == environment);
        merge::merge(self, chosen)
    }
}
