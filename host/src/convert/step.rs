//! One step of the earlier system, as it stands in a template or in an environment.

use super::fields::{Fields, Named};
use super::handlers;
use super::lost;
use super::notes::{Notes, Spot};
use super::retry::{self, Backoff};
use super::yaml::{Node, Value};

const KNOWN: &[&str] = &[
    "name",
    "description",
    "handler_class",
    "depends_on_step",
    "depends_on_steps",
    "default_retryable",
    "default_retry_limit",
    "timeout_seconds",
    "retry_backoff",
    "handler_config",
];
/// The highest limit here.
const LIMIT_MAX: u32 = 1_000;

/// See the module. `None` is silence.
#[derive(Debug, Clone)]
pub(super) struct OldStep {
    pub(super) name: Named,
    pub(super) description: Option<String>,
    pub(super) class: Option<Named>,
    parent: Option<Named>,
    parents: Option<Vec<Named>>,
    retryable: Option<bool>,
    limit: Option<u32>,
    timeout_ms: Option<u64>,
    backoff: Option<Backoff>,
    pub(super) config: Option<Config>,
}

/// The configuration of a step's handler.
#[derive(Debug, Clone)]
pub(super) struct Config {
    values: Node,
    timeout_ms: Option<u64>,
    backoff: Option<Backoff>,
}

impl OldStep {
    pub(super) fn read(node: &Node, field: &str, whole: bool, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(node, field, notes)?;
        fields.required("name", "give the step a name of its own", notes)?;
        if whole {
            fields.required("handler_class", "name the class that runs it, such as Shop::ChargeCard", notes);
        }
        lost::warn(&fields, KNOWN, lost::OF_STEPS, notes);
        let step = Self {
            name: fields.text("name", notes)?,
            description: fields.scalar("description", notes),
            class: fields.text("handler_class", notes).filter(|class| checked_class(class, notes)),
            parent: fields.text("depends_on_step", notes),
            parents: fields.texts("depends_on_steps", notes),
            retryable: fields.boolean("default_retryable", notes),
            limit: limit(&fields, notes),
            timeout_ms: fields.get("timeout_seconds").and_then(|node| {
                let spot = node.spot(&fields.path("timeout_seconds"));
                retry::timeout_ms(node)
                    .map_err(|what| notes.error(&spot, what, "write seconds, such as 30"))
                    .ok()
            }),
            backoff: fields.get("retry_backoff").and_then(|node| {
                let path = fields.path("retry_backoff");
                backoff(node, &path, notes)
                    .map_err(|what| notes.error(&node.spot(&path), what, retry::WANTED))
                    .ok()
            }),
            config: fields
                .get("handler_config")
                .and_then(|node| Config::read(node, &fields.path("handler_config"), notes)),
        };
        Some(step)
    }

    /// This step where it says something, and the other where it does not: what an environment makes of a step. Nothing is said of the
    /// configuration's values, since those are merged here as they were there.
    pub(super) fn over(&self, under: &Self) -> Self {
        let config = self.config.clone().map(|config| Config {
            timeout_ms: config
                .timeout_ms
                .or_else(|| under.config.as_ref().and_then(|under| under.timeout_ms)),
            backoff: config.backoff.or_else(|| under.config.as_ref().and_then(|under| under.backoff)),
            ..config
        });
        Self {
            name: under.name.clone(),
            description: self.description.clone(),
            class: self.class.clone().or_else(|| under.class.clone()),
            parent: self.parent.clone().or_else(|| under.parent.clone()),
            parents: self.parents.clone().or_else(|| under.parents.clone()),
            retryable: self.retryable.or(under.retryable),
            limit: self.limit.or(under.limit),
            timeout_ms: self.timeout_ms.or(under.timeout_ms),
            backoff: self.backoff.or(under.backoff),
            config: config.or_else(|| under.config.clone()),
        }
    }

    /// Whom it waits for, each once.
    pub(super) fn parents(&self) -> Vec<&Named> {
        let mut parents: Vec<&Named> = Vec::new();
        for parent in self.parent.iter().chain(self.parents.iter().flatten()) {
            if parents.iter().all(|known| known.name != parent.name) {
                parents.push(parent);
            }
        }
        parents
    }

    /// Failed attempts allowed in all.
    pub(super) fn limit(&self) -> Option<u32> {
        if self.retryable == Some(false) { Some(1) } else { self.limit }
    }

    /// Its own timeout, or the one that its handler was configured with.
    pub(super) fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms.or_else(|| self.config.as_ref().and_then(|config| config.timeout_ms))
    }

    /// How its delays grow, likewise.
    pub(super) fn backoff(&self) -> Option<Backoff> {
        self.backoff.or_else(|| self.config.as_ref().and_then(|config| config.backoff))
    }
}

fn checked_class(class: &Named, notes: &mut Notes) -> bool {
    let fits = handlers::is_class(&class.name);
    if !fits {
        let what = format!("'{}' is not the name of a Ruby class", class.name);
        notes.error(&class.spot, what, "write one such as Shop::ChargeCard");
    }
    fits
}

/// Both systems count failed attempts in all.
fn limit(fields: &Fields<'_>, notes: &mut Notes) -> Option<u32> {
    let key = "default_retry_limit";
    let limit = fields.whole(key, notes)?;
    let spot = fields.spot(key);
    match u32::try_from(limit) {
        Ok(0) => {
            notes.warn(
                &spot,
                "a limit of 0 let a step never run; it is 1 here, so it is tried once",
                "remove the step if it shall not run",
            );
            Some(1)
        }
        Ok(limit) if limit <= LIMIT_MAX => Some(limit),
        Ok(_) => {
            notes.warn(
                &spot,
                format!("{limit} attempts are more than {LIMIT_MAX}, which is the limit here"),
                "let an operator retry it after that",
            );
            Some(LIMIT_MAX)
        }
        Err(_) => {
            notes.error(&spot, format!("'{limit}' is no number of attempts"), "write 1 or more");
            None
        }
    }
}

/// A `retry_backoff`, with warnings of what is different here.
fn backoff(node: &Node, field: &str, notes: &mut Notes) -> Result<Backoff, String> {
    let (backoff, differences) = Backoff::read(node)?;
    for (key, what, help) in differences {
        let part = format!("{field}.{key}");
        let value = match &node.value {
            Value::Map(entries) => entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node),
            _ => None,
        };
        notes.warn(&value.unwrap_or(node).spot(&part), what, help);
    }
    Ok(backoff)
}

impl Config {
    /// Everything in it stays as it is, since the handler reads it. What it says of timeouts and retries counts for the step as well.
    fn read(node: &Node, field: &str, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(node, field, notes)?;
        let timeout_ms = fields.get("timeout_seconds").and_then(|node| {
            let spot = node.spot(&fields.path("timeout_seconds"));
            let help = "write 'timeout' in the step; the handler reads the value as before";
            retry::timeout_ms(node).map_err(|what| notes.warn(&spot, what, help)).ok()
        });
        let backoff = fields.get("retry_backoff").and_then(|node| {
            let path = fields.path("retry_backoff");
            let help = "write 'retry' in the step; the handler reads the value as before";
            backoff(node, &path, notes).map_err(|what| notes.warn(&node.spot(&path), what, help)).ok()
        });
        warn_of_api(&fields, notes);
        warn_of_variables(node, field, notes);
        Some(Self { values: node.clone(), timeout_ms, backoff })
    }

    /// Its values, if there are any.
    pub(super) fn written(&self) -> Option<Node> {
        let empty = matches!(&self.values.value, Value::Map(entries) if entries.is_empty());
        (!empty).then(|| self.values.clone())
    }
}

/// The base class for requests has no counterpart; its settings are the handler's to read.
fn warn_of_api(fields: &Fields<'_>, notes: &mut Notes) {
    if fields.get("type").is_some_and(|node| node.json() == "api") {
        notes.warn(
            &fields.spot("type"),
            "there is no base class that makes requests, so nobody reads url, params, headers and ssl but the handler",
            "make the request in the handler, from 'step.config'",
        );
    }
    for key in ["retry_delay", "enable_exponential_backoff", "jitter_factor"] {
        if fields.get(key).is_some() {
            let what = format!("'{key}' did not change when a step was tried again, and does not here");
            notes.warn(&fields.spot(key), what, "write 'retry' in the step if it should");
        }
    }
}

/// Texts that look as if something replaced a part of them, which nobody did.
fn warn_of_variables(node: &Node, field: &str, notes: &mut Notes) {
    match &node.value {
        Value::Text(text) if text.contains("${") || text.contains("<%") => {
            let spot: Spot = node.spot(field);
            let what = format!("'{text}' is handed to the handler as it stands, as it was before");
            notes.warn(&spot, what, "let the handler read the variable, and secrets above all");
        }
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                warn_of_variables(item, &format!("{field}[{at}]"), notes);
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                warn_of_variables(item, &format!("{field}.{}", key.text), notes);
            }
        }
        _ => {}
    }
}
