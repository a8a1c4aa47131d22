//! What a plugin is: its handlers, what it says of itself, and the way from a handler's name to its function.

use crate::context::Context;
use crate::error::{StepResult, permanent};

/// One handler. `#[handler]` implements this; nobody else has to.
pub trait Handler {
    /// The name that templates use.
    const NAME: &'static str;
    /// One line for a person.
    const SUMMARY: &'static str;

    /// Reads the input, runs the function and gives its output as JSON.
    fn call(context: &Context) -> StepResult<String>;

    /// What goes in and comes out.
    fn schemas() -> Schemas;
}

/// The JSON Schemas of a handler, as texts. Absent means any JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schemas {
    /// Of the task context, as far as the handler reads it.
    pub input: Option<String>,
    /// Of the step's configuration.
    pub config: Option<String>,
    /// Of the output.
    pub output: Option<String>,
    /// Of the direct parents that it reads.
    pub parents: Vec<ParentSchema>,
}

/// What a handler reads of a direct parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentSchema {
    /// The parent's step name.
    pub step: &'static str,
    /// Whether the handler also works without such a parent.
    pub optional: bool,
    /// The JSON Schema of what it reads, as text. Absent means any JSON.
    pub schema: Option<String>,
}

/// A [`Handler`] as a value.
#[derive(Debug, Clone, Copy)]
pub struct HandlerEntry {
    /// The name that templates use.
    pub name: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// See [`Handler::call`].
    pub call: fn(&Context) -> StepResult<String>,
    /// See [`Handler::schemas`].
    pub schemas: fn() -> Schemas,
}

impl HandlerEntry {
    /// The entry of one handler.
    pub const fn of<H: Handler>() -> Self {
        Self { name: H::NAME, summary: H::SUMMARY, call: H::call, schemas: H::schemas }
    }
}

/// What a plugin would like to be granted. Nothing is granted by asking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Hosts to call, as `https://host:port`.
    pub hosts: &'static [&'static str],
    /// Directories, as the path that the plugin wants to see.
    pub directories: &'static [&'static str],
    /// Environment variables.
    pub environment: &'static [&'static str],
    /// Secrets, by name.
    pub secrets: &'static [&'static str],
}

/// A plugin. [`plugin!`](crate::plugin) implements this; nobody else has to.
pub trait PluginDefinition {
    /// `namespace/name`.
    const NAME: &'static str;
    /// Its semantic version.
    const VERSION: &'static str;
    /// One line for a person.
    const SUMMARY: &'static str;
    /// What it would like to be granted.
    const WISHES: Wishes;
    /// Its handlers.
    const HANDLERS: &'static [HandlerEntry];
}

/// Runs the handler called `name`.
pub(crate) fn dispatch(handlers: &[HandlerEntry], name: &str, context: &Context) -> StepResult<String> {
    match handlers.iter().find(|handler| handler.name == name) {
        Some(handler) => (handler.call)(context),
        None => {
            let known: Vec<&str> = handlers.iter().map(|handler| handler.name).collect();
            let message = format!("no handler `{name}`: the plugin has `{}`", known.join("`, `"));
            Err(permanent(message).code("unknown_handler"))
        }
    }
}

/// Stops the build of a plugin that has two handlers of one name.
pub const fn names_are_unique(handlers: &[HandlerEntry]) {
    let mut first = 0;
    while first < handlers.len() {
        let mut second = first + 1;
        while second < handlers.len() {
            assert!(!is_same(handlers[first].name, handlers[second].name), "two handlers have the same name");
            second += 1;
        }
        first += 1;
    }
}

const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}
