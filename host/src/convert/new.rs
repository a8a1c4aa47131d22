//! One of our templates, out of one of the earlier system.

use super::fields::Named;
use super::handlers::Handlers;
use super::names;
use super::notes::{Notes, short};
use super::old::{OldEnvironment, OldTemplate};
use super::retry::{self, Backoff};
use super::step::{Config, OldStep};
use super::yaml::Node;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewTemplate {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) version: String,
    pub(super) description: Option<String>,
    pub(super) schema: Option<Node>,
    pub(super) steps: Vec<NewStep>,
    /// By name; steps as far as they differ.
    pub(super) environments: Vec<(String, Vec<NewStep>)>,
}

/// What is written of a step; `None` is not written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NewStep {
    pub(super) name: String,
    /// What the step is for: our steps have no description, so it is a comment.
    pub(super) comment: Option<String>,
    pub(super) handler: Option<String>,
    pub(super) depends_on: Option<Vec<String>>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) limit: Option<u32>,
    pub(super) backoff: Option<Backoff>,
    pub(super) config: Option<Node>,
}

/// The namespace and version of templates that name none.
const NAMESPACE: &str = "default";
const VERSION: &str = "0.1.0";
/// Steps that a message lists by name.
const LISTED_MAX: usize = 5;

pub(super) fn template(old: &OldTemplate, handlers: &Handlers, notes: &mut Notes) -> NewTemplate {
    let mut own = |named: &Named, kind: &str| names::own(named, kind, notes).unwrap_or_default();
    let name = own(&old.name, "template");
    let namespace =
        old.namespace.as_ref().map_or_else(|| NAMESPACE.to_owned(), |named| own(named, "namespace"));
    let mut taken: Vec<(String, &Named)> = Vec::new();
    for step in &old.steps {
        taken.push((own(&step.name, "step"), &step.name));
    }
    unique(&taken, "step", notes);
    let version = old.version.as_ref().map(|version| names::version(version, notes).unwrap_or_default());
    warn_of_timeouts(old, notes);
    let steps: Vec<NewStep> = old.steps.iter().map(|old| step(old, handlers, notes)).collect();
    NewTemplate {
        name,
        namespace,
        version: version.unwrap_or_else(|| VERSION.to_owned()),
        description: old.description.clone(),
        schema: old.schema.clone(),
        environments: environments(old, &steps, handlers, notes),
        steps,
    }
}

/// Names that differed there may be the same here.
fn unique(names: &[(String, &Named)], kind: &str, notes: &mut Notes) {
    for (at, (name, named)) in names.iter().enumerate() {
        if let Some((_, earlier)) =
            names[..at].iter().find(|(earlier, _)| earlier == name && !name.is_empty())
        {
            let what = format!("'{}' and '{}' are both called '{name}' here", earlier.name, named.name);
            notes.error(&named.spot, what, format!("rename the {kind} before it is converted"));
        }
    }
}

fn step(old: &OldStep, handlers: &Handlers, notes: &mut Notes) -> NewStep {
    let name_of = |name: &str| names::nearest(name, "step").unwrap_or_default();
    let parents: Vec<String> = old.parents().into_iter().map(|parent| name_of(&parent.name)).collect();
    NewStep {
        name: name_of(&old.name.name),
        comment: old.description.clone(),
        handler: old.class.as_ref().map(|class| handlers.name(class, notes)),
        depends_on: Some(parents).filter(|parents| !parents.is_empty()),
        timeout_ms: old.timeout_ms(),
        limit: old.limit(),
        backoff: old.backoff(),
        config: old.config.as_ref().and_then(Config::written),
    }
}

fn environments(
    old: &OldTemplate,
    steps: &[NewStep],
    handlers: &Handlers,
    notes: &mut Notes,
) -> Vec<(String, Vec<NewStep>)> {
    let mut names: Vec<(String, &Named)> = Vec::new();
    let mut all = Vec::new();
    for environment in &old.environments {
        let overrides = overrides(environment, old, steps, handlers, notes);
        if overrides.is_empty() {
            continue;
        }
        let name = names::own(&environment.name, "environment", notes).unwrap_or_default();
        names.push((name.clone(), &environment.name));
        all.push((name, overrides));
    }
    unique(&names, "environment", notes);
    all
}

/// The steps of an environment, as far as they differ from the template's.
fn overrides(
    environment: &OldEnvironment,
    old: &OldTemplate,
    steps: &[NewStep],
    handlers: &Handlers,
    notes: &mut Notes,
) -> Vec<NewStep> {
    let mut overrides = Vec::new();
    for (base, new) in old.steps.iter().zip(steps) {
        let Some(over) = environment.steps.iter().find(|over| over.name.name == base.name.name) else {
            continue;
        };
        let merged = step(&over.over(base), handlers, notes);
        let differs = NewStep {
            name: new.name.clone(),
            comment: merged.comment,
            handler: merged.handler.filter(|handler| Some(handler) != new.handler.as_ref()),
            depends_on: (merged.depends_on != new.depends_on).then(|| merged.depends_on.unwrap_or_default()),
            timeout_ms: merged.timeout_ms.filter(|timeout| Some(*timeout) != new.timeout_ms),
            limit: (merged.limit != new.limit).then(|| merged.limit.unwrap_or(retry::LIMIT)),
            backoff: merged.backoff.filter(|backoff| Some(*backoff) != new.backoff),
            // Configurations are merged key by key, there and here.
            config: over.config.as_ref().and_then(Config::written),
        };
        if differs != (NewStep { name: new.name.clone(), ..NewStep::default() }) {
            overrides.push(differs);
        }
    }
    overrides
}

/// Here every attempt has a timeout.
fn warn_of_timeouts(old: &OldTemplate, notes: &mut Notes) {
    let silent: Vec<&str> = old
        .steps
        .iter()
        .filter(|step| step.timeout_ms().is_none())
        .map(|step| step.name.name.as_str())
        .collect();
    if silent.is_empty() {
        return;
    }
    let more = if silent.len() > LISTED_MAX {
        format!(" and {} more", silent.len() - LISTED_MAX)
    } else {
        String::new()
    };
    let listed = silent.iter().take(LISTED_MAX).copied().map(short).collect::<Vec<_>>().join(", ");
    let what = format!(
        "there was no limit on the time of a step; an attempt of {listed}{more} is ended after {} s",
        retry::TIMEOUT_MS / 1_000
    );
    notes.warn(&old.steps_at, what, "write 'timeout' in steps that take longer");
}
