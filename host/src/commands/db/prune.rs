//! `db prune`: removes what is old, now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use stepwright_orchestrator::archive::Archive;
use stepwright_orchestrator::pruner::{Pruner, PrunerOptions};
use stepwright_store::{Expiry, Removed, Store};
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::template::values::duration_ms;

use crate::clock::random;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::Paint;
use crate::output::table::Columns;

/// Tasks in one look.
const AT_ONCE: u32 = 5_000;

/// States whose tasks are removed unless others are named: those that are final.
const USUAL: [TaskState; 3] = [TaskState::Complete, TaskState::Cancelled, TaskState::ResolvedManually];

/// Which tasks are old. Without an age, the settings say.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Age {
    /// Tasks that settled longer ago than this, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    older_than: Option<u64>,
    /// Only tasks in these states; 'error' must be named [default with --older-than: complete,cancelled,resolved_manually]
    #[arg(long = "state", value_name = "STATE,…", value_delimiter = ',', value_parser = state)]
    states: Vec<TaskState>,
}

/// What to remove.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArguments {
    #[command(flatten)]
    age: Age,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Write the tasks to files in this directory before they are removed [default: the setting retention.archive_dir]
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

fn state(text: &str) -> Result<TaskState, String> {
    match text.parse() {
        Ok(TaskState::Pending | TaskState::InProgress) => {
            Err(format!("tasks that are {text} have not settled, and are never removed"))
        }
        Ok(state) => Ok(state),
        Err(_) => Err(format!(
            "'{text}' is no state whose tasks can be removed; those are complete, cancelled, resolved_manually and error"
        )),
    }
}

impl Age {
    /// The settings' ages, or the one given, for the states that were named.
    pub(super) fn keep_ms(&self, settings: &PrunerOptions) -> Vec<(TaskState, u64)> {
        let named = |state: &TaskState| self.states.is_empty() || self.states.contains(state);
        match self.older_than {
            Some(age) if self.states.is_empty() => USUAL.iter().map(|state| (*state, age)).collect(),
            Some(age) => self.states.iter().map(|state| (*state, age)).collect(),
            None => settings.keep_ms.iter().filter(|(state, _)| named(state)).copied().collect(),
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    /// Tasks and steps that are old enough, by state; with `--dry-run` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Due>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Removed>,
    /// Where the tasks were written before.
    archive: Option<PathBuf>,
}

/// Tasks and steps by state.
pub(super) type Due = BTreeMap<TaskState, Counted>;

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Counted {
    pub(super) tasks: u64,
    pub(super) steps: u64,
}

pub(super) async fn run(arguments: &PruneArguments, context: &Context) -> Result<Exit, CliError> {
    let mut options = context.config.pruner();
    options.keep_ms = arguments.age.keep_ms(&options);
    if options.keeps_every_task() {
        return Err(CliError::new(
            "nothing says how long tasks are kept; give --older-than 30d, or set for instance retention.complete",
        ));
    }
    if let Some(folder) = &arguments.archive {
        options.archive = Some(Archive::new(folder));
    }
    let archive = options.archive.as_ref().map(|archive| archive.folder().to_path_buf());
    let store = context.store().await?;
    if arguments.dry_run {
        let due = due(&*store, &options.expiry(context.now())).await?;
        return report(&Report { dry_run: true, due: Some(due), removed: None, archive }, context);
    }
    let removed = remove(options, store, context).await?;
    report(&Report { dry_run: false, due: None, removed: Some(removed), archive }, context)
}

/// Counts what is old enough, some tasks at a time.
pub(super) async fn due(store: &dyn Store, expiry: &Expiry) -> Result<Due, CliError> {
    let mut due = Due::new();
    let mut after = Some(TaskId(0));
    while let Some(from) = after {
        let found = store.expired_tasks(from, expiry, AT_ONCE).await?;
        for task in found.due {
            let counted = due.entry(task.state).or_default();
            counted.tasks += 1;
            counted.steps += u64::from(task.steps);
        }
        after = found.next;
    }
    Ok(due)
}

/// One pass, with a pause between two transactions so that a running pump has its turn.
async fn remove(
    options: PrunerOptions,
    store: Arc<dyn Store>,
    context: &Context,
) -> Result<Removed, CliError> {
    /// Between two lines of progress.
    const STEPS_TOLD: u64 = 100_000;
    let pause = std::time::Duration::from_millis(options.pause_ms);
    let mut pruner = Pruner::new(options, store, context.clock.clone(), random());
    let (mut removed, mut told) = (Removed::default(), 0);
    loop {
        let turn = pruner.turn().await?;
        removed += turn.removed;
        if turn.ended {
            return Ok(removed);
        }
        if removed.steps / STEPS_TOLD > told {
            told = removed.steps / STEPS_TOLD;
            output::hint(format_args!("{} tasks with {} steps removed so far", removed.tasks, removed.steps));
        }
        if !turn.removed.is_nothing() {
            tokio::time::sleep(pause).await;
        }
    }
}

fn report(report: &Report, context: &Context) -> Result<Exit, CliError> {
    if context.json {
        output::json(report)?;
    } else if let Some(due) = &report.due {
        output::line(told(due))?;
    } else if let Some(removed) = report.removed {
        let Removed { tasks, steps, attempts, notes, batches, workers } = removed;
        output::line(format_args!(
            "removed {tasks} tasks with {steps} steps, {attempts} attempts and {notes} notes; {batches} batches and {workers} \
             workers that nothing refers to any more"
        ))?;
        if let Some(folder) = report.archive.as_ref().filter(|_| tasks > 0) {
            output::hint(format_args!("the tasks are archived in {}", folder.display()));
        }
    }
    Ok(Exit::Good)
}

/// What would be removed, for people.
pub(super) fn told(due: &Due) -> String {
    if due.is_empty() {
        return "no task is old enough to be removed".to_owned();
    }
    let mut columns = Columns::new(&["TO BE REMOVED", "TASKS", "STEPS"]).right(&[1, 2]);
    for (state, counted) in due {
        columns.row([state.into(), counted.tasks.into(), counted.steps.into()]);
    }
    columns.render(Paint::stdout())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PrunerOptions {
        PrunerOptions {
            keep_ms: vec![(TaskState::Complete, 1_000), (TaskState::Cancelled, 2_000)],
            events_keep_ms: None,
            archive: None,
            steps_max: 1,
            pause_ms: 1,
            interval_ms: 1,
        }
    }

    #[test]
    fn an_age_is_the_one_given_or_that_of_the_settings() {
        let check = |older_than, states: &[TaskState], expected: &[(TaskState, u64)]| {
            let age = Age { older_than, states: states.to_vec() };
            assert_eq!(age.keep_ms(&settings()), expected, "{age:?}");
        };
        check(None, &[], &[(TaskState::Complete, 1_000), (TaskState::Cancelled, 2_000)]);
        check(None, &[TaskState::Cancelled], &[(TaskState::Cancelled, 2_000)]);
        check(None, &[TaskState::Error], &[]);
        check(Some(7), &[TaskState::Error], &[(TaskState::Error, 7)]);
        check(Some(7), &[], &USUAL.map(|state| (state, 7)));
    }

    #[test]
    fn tasks_that_have_not_settled_cannot_be_named() {
        assert_eq!(state("error"), Ok(TaskState::Error));
        assert!(state("pending").unwrap_err().contains("never removed"));
        assert!(state("done").unwrap_err().contains("resolved_manually"));
    }
}
