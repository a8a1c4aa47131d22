//! What keeps steps from being claimed: a mark on a task, a template, a namespace, a plugin, or one digest of a plugin.
//!
//! A pause is no state. Nothing new is claimed under it, what runs may finish, and once it is taken away everything goes on
//! where it stood.

use std::fmt;

use serde::Serialize;

use crate::{Digest, Plan, PlanStep, TaskId};

/// What kind of thing is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseScope {
    /// One task.
    Task,
    /// Every task of a template, whatever its version.
    Template,
    /// Every task of a namespace.
    Namespace,
    /// Every step of a plugin, whatever its version.
    Plugin,
    /// Every step of exactly one component.
    Digest,
}

impl PauseScope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Task, Self::Template, Self::Namespace, Self::Plugin, Self::Digest];

    /// The scope's one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Template => "template",
            Self::Namespace => "namespace",
            Self::Plugin => "plugin",
            Self::Digest => "digest",
        }
    }
}

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseTarget {
    /// One task.
    Task(TaskId),
    /// Every task of a template.
    Template {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Every task of a namespace.
    Namespace(String),
    /// Every step of a plugin, by `namespace/name`.
    Plugin(String),
    /// Every step of one component.
    Digest(Digest),
}

/// A scope and a name that are no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no {scope} that could be paused")]
pub struct BadPauseTarget {
    scope: String,
    name: String,
}

impl PauseTarget {
    /// What kind of thing it is.
    pub fn scope(&self) -> PauseScope {
        match self {
            Self::Task(_) => PauseScope::Task,
            Self::Template { .. } => PauseScope::Template,
            Self::Namespace(_) => PauseScope::Namespace,
            Self::Plugin(_) => PauseScope::Plugin,
            Self::Digest(_) => PauseScope::Digest,
        }
    }

    /// Its name within the scope: a number, `namespace/name`, a namespace, or a digest.
    pub fn name(&self) -> String {
        match self {
            Self::Task(task) => task.to_string(),
            Self::Template { namespace, name } => format!("{namespace}/{name}"),
            Self::Namespace(name) | Self::Plugin(name) => name.clone(),
            Self::Digest(digest) => digest.to_string(),
        }
    }

    /// Reads back what [`PauseScope::as_str`] and [`PauseTarget::name`] wrote.
    pub fn read(scope: &str, name: &str) -> Result<Self, BadPauseTarget> {
        let bad = || BadPauseTarget { scope: scope.to_owned(), name: name.to_owned() };
        let known = PauseScope::ALL.into_iter().find(|known| known.as_str() == scope).ok_or_else(bad)?;
        Ok(match known {
            PauseScope::Task => Self::Task(name.parse().map_err(|_| bad())?),
            PauseScope::Template => {
                let (namespace, name) = name.split_once('/').ok_or_else(bad)?;
                Self::Template { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            PauseScope::Namespace => Self::Namespace(name.to_owned()),
            PauseScope::Plugin => Self::Plugin(name.to_owned()),
            PauseScope::Digest => Self::Digest(name.parse().map_err(|_| bad())?),
        })
    }

    /// Whether a step of a task of this plan may not be claimed while this is paused.
    pub fn covers(&self, task: TaskId, plan: &Plan, step: &PlanStep) -> bool {
        match self {
            Self::Task(paused) => *paused == task,
            Self::Template { namespace, name } => *namespace == plan.namespace && *name == plan.name,
            Self::Namespace(namespace) => *namespace == plan.namespace,
            Self::Plugin(plugin) => *plugin == step.plugin,
            Self::Digest(digest) => *digest == step.digest,
        }
    }
}

impl fmt::Display for PauseTarget {
    /// `template shop/order`; a digest is shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope().as_str();
        match self {
            Self::Digest(digest) => write!(f, "{scope} sha256:{}…", digest.short()),
            other => write!(f, "{scope} {}", other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::RetryPolicy;
    use crate::{Payload, StepLimits};

    fn plan() -> Plan {
        let step = PlanStep {
            name: "pay".to_owned(),
            plugin: "examples/shop".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            digest: Digest::of(b"shop"),
            handler: "pay".to_owned(),
            parents: Vec::new(),
            config: Payload::null(),
            timeout_ms: 1,
            retry: RetryPolicy::default(),
            limits: StepLimits::default(),
        };
        Plan {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: "1.0.0".to_owned(),
            environment: "test".to_owned(),
            input_schema: None,
            steps: vec![step],
        }
    }

    #[test]
    fn a_pause_covers_what_it_names_and_nothing_else() {
        let template = |namespace: &str, name: &str| PauseTarget::Template {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        for (target, expect) in [
            (PauseTarget::Task(TaskId(7)), true),
            (PauseTarget::Task(TaskId(8)), false),
            (template("shop", "order"), true),
            (template("shop", "orders"), false),
            (template("other", "order"), false),
            (PauseTarget::Namespace("shop".to_owned()), true),
            (PauseTarget::Namespace("order".to_owned()), false),
            (PauseTarget::Plugin("examples/shop".to_owned()), true),
            (PauseTarget::Plugin("shop".to_owned()), false),
            (PauseTarget::Digest(Digest::of(b"shop")), true),
            (PauseTarget::Digest(Digest::of(b"other")), false),
        ] {
            let plan = plan();
            assert_eq!(target.covers(TaskId(7), &plan, &plan.steps[0]), expect, "{target}");
            assert_eq!(PauseTarget::read(target.scope().as_str(), &target.name()), Ok(target));
        }
    }

    #[test]
    fn what_is_no_target_is_named() {
        for (scope, name) in
            [("task", "x"), ("template", "order"), ("digest", "12"), ("step", "pay"), ("", "")]
        {
            let error = PauseTarget::read(scope, name).unwrap_err().to_string();
            assert!(error.contains(&format!("'{name}'")), "{error}");
        }
    }
}
