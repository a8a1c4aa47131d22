//! `task watch`, and waiting on behalf of `task run`.

use std::time::Duration;

use serde::Serialize;
use stepwright_store::{Store, StoreError};
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::template::values::duration_ms;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::watch::{Show, Watch, Watched};

/// Whether and how long to wait for what was started.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct WaitFlags {
    /// Show what happens until every task is settled.
    #[arg(long, group = "waiting")]
    pub(super) watch: bool,
    /// Wait until every task is settled, and show nothing.
    #[arg(long, group = "waiting")]
    wait: bool,
    /// Wait no longer than this, such as 30s or 5m; the tasks go on.
    #[arg(long, value_name = "DURATION", requires = "waiting", value_parser = duration)]
    timeout: Option<Duration>,
}

impl WaitFlags {
    pub(super) fn is_wanted(&self) -> bool {
        self.watch || self.wait
    }
}

/// Which tasks to watch.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArguments {
    /// The tasks.
    #[arg(required = true, value_name = "ID")]
    tasks: Vec<TaskId>,
    /// Watch no longer than this, such as 30s or 5m; the tasks go on.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(arguments: &WatchArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let known = store.task_states(&arguments.tasks).await?;
    let unknown = arguments.tasks.iter().find(|task| !known.iter().any(|(id, _)| id == *task));
    if let Some(task) = unknown {
        return Err(StoreError::NotFound { subject: format!("task {task}") }.into());
    }
    let flags = WaitFlags { watch: true, wait: false, timeout: arguments.timeout };
    let watched = watch(&arguments.tasks, &flags, (store.as_ref(), context)).await?;
    Ok(exit(&arguments.tasks, &watched))
}

/// The last line of `--watch --json` if the time was up.
#[derive(Serialize)]
#[serde(tag = "event", rename = "timed_out")]
struct TimedOutLine {
    /// Tasks that are not settled.
    open: usize,
}

/// Waits for tasks as wanted, and says what to do if it did not go well.
pub(super) async fn watch(
    tasks: &[TaskId],
    flags: &WaitFlags,
    (store, context): (&dyn Store, &Context),
) -> Result<Watched, CliError> {
    let show = match (flags.watch, context.json) {
        (false, _) => Show::Nothing,
        (true, true) => Show::Json,
        (true, false) => Show::Changes,
    };
    let watch = Watch { store, clock: context.clock.as_ref(), show, timeout: flags.timeout };
    let watched = watch.run(tasks).await?;
    let open = watched.open();
    if context.json {
        if flags.watch && open > 0 {
            output::json(&TimedOutLine { open })?;
        }
    } else if let Some(advice) = advice(tasks, &watched) {
        output::hint(advice);
    }
    Ok(watched)
}

fn advice(tasks: &[TaskId], watched: &Watched) -> Option<String> {
    if watched.is_timed_out() {
        let open = watched.open();
        return Some(match tasks {
            [task] => format!(
                "the time is up, task {task} goes on; 'stepwright task show {task}' says why it waits"
            ),
            _ => format!(
                "the time is up, {open} tasks go on; 'stepwright task list --state in_progress' lists them"
            ),
        });
    }
    let failed: Vec<TaskId> =
        tasks.iter().copied().filter(|task| watched.state(*task) == Some(TaskState::Error)).collect();
    match (tasks, failed.as_slice()) {
        (_, []) => None,
        ([task], _) => {
            Some(format!("task {task} is in error; 'stepwright task show {task}' says why and what to do"))
        }
        (_, failed) => Some(format!(
            "{} tasks are in error; 'stepwright task list --state error' lists them, and 'task show ID' says why",
            failed.len()
        )),
    }
}

/// The exit code: what is not settled outweighs what is in error, and that what was cancelled.
pub(super) fn exit(tasks: &[TaskId], watched: &Watched) -> Exit {
    let any = |wanted| tasks.iter().any(|task| watched.state(*task) == Some(wanted));
    if watched.is_timed_out() {
        Exit::TimedOut
    } else if any(TaskState::Error) {
        Exit::TaskError
    } else if any(TaskState::Cancelled) {
        Exit::TaskCancelled
    } else {
        Exit::Good
    }
}

/// A duration on the command line.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match duration_ms(text)? {
        0 => Err("must be longer than nothing".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(states: &[TaskState], expect: Exit, hint: Option<&str>) {
        let tasks: Vec<TaskId> = (1..).map(TaskId).take(states.len()).collect();
        let seen: Vec<(TaskId, TaskState)> = tasks.iter().copied().zip(states.iter().copied()).collect();
        let watched = Watched::of(&tasks, &seen);
        assert_eq!(exit(&tasks, &watched), expect, "{states:?}");
        let advice = advice(&tasks, &watched);
        assert_eq!(advice.is_some(), hint.is_some(), "{advice:?}");
        assert!(advice.unwrap_or_default().contains(hint.unwrap_or_default()));
    }

    #[test]
    fn the_worst_task_decides_the_exit_code() {
        use TaskState as T;
        check(&[T::Complete], Exit::Good, None);
        check(&[T::ResolvedManually], Exit::Good, None);
        check(&[T::Complete, T::Cancelled], Exit::TaskCancelled, None);
        check(&[T::Error], Exit::TaskError, Some("task show 1"));
        check(&[T::Cancelled, T::Error, T::Complete], Exit::TaskError, Some("--state error"));
        check(&[T::Error, T::InProgress], Exit::TimedOut, Some("1 tasks go on"));
        check(&[T::Pending], Exit::TimedOut, Some("task 1 goes on"));
    }

    #[test]
    fn durations_are_positive() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("0s").is_err());
    }
}
