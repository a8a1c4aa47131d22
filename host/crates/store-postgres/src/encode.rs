//! Many items as arrays, one for each column.

use stepwright_store::column::text;
use stepwright_store::{AttemptLine, NewTask, Result, StoreError};
use stepwright_workflow::{AttemptKey, StepId};

/// A count of the program in a column of 32 bits: counts never come near its end, and one that did would stay at it.
pub(crate) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A measure of the program in a column of 64 bits.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text for people or from a worker. PostgreSQL has no character zero; what holds one must not fail a whole round.
pub(crate) fn shown(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Keys of attempts.
pub(crate) struct Keys {
    pub(crate) steps: Vec<i64>,
    pub(crate) attempts: Vec<i32>,
    pub(crate) batches: Vec<i64>,
}

pub(crate) fn keys<'a>(keys: impl IntoIterator<Item = &'a AttemptKey>) -> Keys {
    let mut columns = Keys { steps: Vec::new(), attempts: Vec::new(), batches: Vec::new() };
    for key in keys {
        columns.steps.push(key.step.0);
        columns.attempts.push(int(key.attempt));
        columns.batches.push(key.batch.0);
    }
    columns
}

/// New tasks and their steps; each step names the place of its task, counted from one.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) plans: Vec<i64>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) templates: Vec<String>,
    pub(crate) priorities: Vec<i32>,
    pub(crate) keys: Vec<Option<String>>,
    pub(crate) contexts: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) start_at: Vec<Option<i64>>,
    pub(crate) step_places: Vec<i64>,
    pub(crate) step_parents: Vec<i32>,
    pub(crate) step_externals: Vec<Option<String>>,
}

pub(crate) fn tasks(tasks: &[&NewTask]) -> Result<Tasks> {
    let mut columns = Tasks::default();
    for (place, task) in (1..).zip(tasks) {
        let steps = task.parents.len();
        if steps > StepId::STEPS_MAX {
            return Err(StoreError::Inconsistent(format!(
                "plan {} has {steps} steps; at most {} fit",
                task.plan,
                StepId::STEPS_MAX
            )));
        }
        columns.plans.push(task.plan.0);
        columns.namespaces.push(task.namespace.clone());
        columns.templates.push(task.template.clone());
        columns.priorities.push(task.priority);
        columns.keys.push(task.idempotency_key.as_deref().map(shown));
        columns.contexts.push(task.context.as_str().to_owned());
        columns.tags.push(text(&task.tags)?);
        columns.start_at.push(task.start_at.map(|at| at.0));
        columns.step_places.extend(std::iter::repeat_n(place, steps));
        columns.step_parents.extend(task.parents.iter().map(|parents| int(*parents)));
        let mut external = task.external.iter().peekable();
        let handler =
            |at| external.next_if(|(position, _)| usize::from(*position) == at).map(|(_, name)| name.clone());
        columns.step_externals.extend((0..steps).map(handler));
    }
    Ok(columns)
}

/// The measures that the ledger keeps of attempts.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) digests: Vec<Option<Vec<u8>>>,
    pub(crate) started_at: Vec<Option<i64>>,
    pub(crate) execution_us: Vec<i64>,
    pub(crate) cpu_us: Vec<i64>,
    pub(crate) memory_bytes_peak: Vec<i64>,
    pub(crate) logs: Vec<Option<String>>,
    pub(crate) usages: Vec<Option<String>>,
}

pub(crate) fn lines<'a>(lines: impl IntoIterator<Item = &'a AttemptLine>) -> Lines {
    let mut columns = Lines::default();
    for line in lines {
        columns.digests.push(line.digest.map(|digest| digest.as_bytes().to_vec()));
        columns.started_at.push(line.started_at.map(|at| at.0));
        columns.execution_us.push(big(line.execution_us));
        columns.cpu_us.push(big(line.cpu_us));
        columns.memory_bytes_peak.push(big(line.memory_bytes_peak));
        columns.logs.push(line.log.as_ref().map(|log| log.as_str().to_owned()));
        columns.usages.push(line.usage.to_column());
    }
    columns
}
