//! A template made definite: merged for one environment, every plugin pinned by digest, every parent by position.

use serde::{Deserialize, Serialize};

use crate::retry::RetryPolicy;
use crate::{Digest, Payload};

/// What a task runs. Stored once per distinct content; a task keeps its plan for life, whatever is registered later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The template's namespace.
    pub namespace: String,
    /// The template's name.
    pub name: String,
    /// The template's semantic version.
    pub version: String,
    /// The environment whose overrides were merged in.
    pub environment: String,
    /// The JSON Schema that a task's context must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Payload>,
    /// The steps; a step's index is its position.
    pub steps: Vec<PlanStep>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// Unique within the plan.
    pub name: String,
    /// The plugin as `namespace/name`; [`EXTERNAL`] where no plugin of ours runs it.
    pub plugin: String,
    /// The version that the requirement was resolved to; empty for an external handler, whose version is its application's.
    pub plugin_version: String,
    /// The component that will run; for an external handler a fingerprint of its name, see [`external_digest`].
    pub digest: Digest,
    /// The handler within the plugin, or the external one.
    pub handler: String,
    /// Positions of the steps whose output this one reads, in the template's order.
    pub parents: Vec<u16>,
    /// The handler's configuration.
    pub config: Payload,
    /// The longest that one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often and how soon to try again.
    pub retry: RetryPolicy,
    /// What one attempt may use.
    pub limits: StepLimits,
}

/// What one attempt may use. `None` means the worker's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLimits {
    /// Linear memory of all the component's modules together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// CPU time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms_max: Option<u64>,
    /// The output's JSON text, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes_max: Option<u64>,
}

/// What a template names in place of a plugin where workers of the application's own run the handler, in their own language.
/// No plugin can have this name, since theirs have a namespace.
pub const EXTERNAL: &str = "external";

/// Stands for the component of an external handler, so that it can be paused, and suspected, as a component is. It says nothing
/// of the handler's code.
pub fn external_digest(handler: &str) -> Digest {
    Digest::of(format!("{EXTERNAL}/{handler}").as_bytes())
}

/// The plugin as `namespace/name@version`, or [`EXTERNAL`], which has no version.
pub fn plugin_reference(plugin: &str, version: &str) -> String {
    if version.is_empty() { plugin.to_owned() } else { format!("{plugin}@{version}") }
}

impl PlanStep {
    /// The external handler that runs the step, if it is one.
    pub fn external(&self) -> Option<&str> {
        (self.plugin == EXTERNAL).then_some(self.handler.as_str())
    }

    /// See [`plugin_reference`].
    pub fn plugin_reference(&self) -> String {
        plugin_reference(&self.plugin, &self.plugin_version)
    }
}

impl Plan {
    /// The step at a position, or `None` past the end.
    pub fn step(&self, position: u16) -> Option<&PlanStep> {
        self.steps.get(usize::from(position))
    }

    /// The position of a step by name.
    pub fn position(&self, name: &str) -> Option<u16> {
        self.steps.iter().position(|step| step.name == name).and_then(|at| u16::try_from(at).ok())
    }

    /// `namespace/name@version`, as people write it.
    pub fn reference(&self) -> String {
        format!("{}/{}@{}", self.namespace, self.name, self.version)
    }
}
