//! Fields that have no counterpart here, and fields that nobody knows: a warning for each, with what to do about it.

use serde_json::Value as Json;

use super::fields::{Fields, suggest};
use super::notes::{Notes, short};
use super::yaml::Value;

/// A field that has no counterpart.
pub(super) struct Lost {
    key: &'static str,
    why: &'static str,
    help: &'static str,
    /// The value that says what is so here anyway.
    same: Option<bool>,
}

const fn lost(key: &'static str, why: &'static str, help: &'static str) -> Lost {
    Lost { key, why, help, same: None }
}

const EVENTS: Lost = lost(
    "custom_events",
    "events are those of tasks and steps, and handlers publish none of their own",
    "follow 'step.completed' of this step, or publish from the handler by means of your own",
);

const CONTEXT: Lost = lost(
    "default_context",
    "a task's context is what it is started with",
    "merge these values into the context where tasks are started",
);

const OPTIONS: Lost = lost(
    "default_options",
    "a task takes tags, a priority and an idempotency key when it is started",
    "give them there",
);

const HANDLER_CONFIG: Lost = lost(
    "handler_config",
    "there is no handler of a whole task",
    "move what step handlers read into the 'config' of their steps",
);

/// Of a template.
pub(super) const OF_TEMPLATES: &[Lost] = &[
    lost(
        "task_handler_class",
        "there is no class for a whole task, and none of its hooks is called",
        "look there for 'establish_step_dependencies_and_defaults', 'update_annotations', 'validate_context' and 'schema'; \
         if it has none of them, it can go",
    ),
    lost("module_namespace", "there is no class for a whole task", "drop it"),
    lost(
        "default_dependent_system",
        "a step names no system that it depends on",
        "give tasks a tag if people look for it; queues follow the handler's name",
    ),
    Lost {
        key: "concurrent",
        why: "steps that do not wait for each other may run at the same time, as they did there whatever stood here",
        help: "chain them with 'depends_on' if they must not",
        same: Some(true),
    },
    CONTEXT,
    OPTIONS,
    HANDLER_CONFIG,
    EVENTS,
    lost("annotations", "a task has tags, which it gets when it is started", "give them there"),
    lost("tags", "a task has tags, which it gets when it is started", "give them there"),
];

/// Of a step.
pub(super) const OF_STEPS: &[Lost] = &[
    lost(
        "dependent_system",
        "a step names no system that it depends on",
        "give tasks a tag if people look for it; queues follow the handler's name",
    ),
    Lost {
        key: "skippable",
        why: "an operator may skip any step",
        help: "use 'stepwright task skip', or let the handler return at once where there is nothing to do",
        same: Some(false),
    },
    EVENTS,
];

/// Of an environment.
pub(super) const OF_ENVIRONMENTS: &[Lost] = &[CONTEXT, OPTIONS, HANDLER_CONFIG];

/// Warns of every field that is not among those that were read.
pub(super) fn warn(fields: &Fields<'_>, read: &[&str], table: &[Lost], notes: &mut Notes) {
    for (key, node) in fields.others(read).filter(|(_, node)| node.value != Value::Null) {
        let spot = node.spot(&fields.path(key));
        let shown = short(spot.shown());
        match table.iter().find(|lost| lost.key == key) {
            Some(lost) if lost.same.is_some_and(|same| node.json() == Json::Bool(same)) => {}
            Some(lost) => notes.warn(&spot, format!("{shown} has no counterpart: {}", lost.why), lost.help),
            None => {
                let known = read.iter().copied().chain(table.iter().map(|lost| lost.key));
                let help = suggest(key, known)
                    .unwrap_or_else(|| "move what handlers read into 'handler_config'".to_owned());
                notes.warn(
                    &spot,
                    format!("{shown} is dropped: the field '{key}' is not known, and had no effect"),
                    help,
                );
            }
        }
    }
}
