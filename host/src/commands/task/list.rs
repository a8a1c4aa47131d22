//! `task list`.

use serde::Serialize;
use stepwright_store::{TaskFilter, TaskSummary};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{TaskId, Timestamp};

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone, task_tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// Which tasks to list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    /// Only tasks in this state; may be given several times.
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<TaskState>,
    /// Only tasks of this template: namespace/name, or name.
    #[arg(long, value_name = "TEMPLATE", value_parser = template)]
    template: Option<Reference>,
    /// List at most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Only tasks older than this one: the way to the next page.
    #[arg(long, value_name = "ID")]
    before: Option<TaskId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    namespace: Option<String>,
    name: String,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listed {
    tasks: Vec<TaskSummary>,
    /// The last one listed, for `--before`, if there may be more.
    next: Option<TaskId>,
}

pub(crate) async fn run(arguments: &ListArguments, context: &Context) -> Result<Exit, CliError> {
    let filter = TaskFilter {
        states: arguments.states.clone(),
        namespace: arguments.template.as_ref().and_then(|template| template.namespace.clone()),
        template: arguments.template.as_ref().map(|template| template.name.clone()),
        before: arguments.before,
        limit: arguments.limit,
    };
    let tasks = context.store().await?.tasks(&filter).await?;
    let next = tasks.last().filter(|_| tasks.len() as u64 == u64::from(arguments.limit)).map(|task| task.id);
    if context.json {
        output::json(&Listed { tasks, next })?;
    } else if tasks.is_empty() {
        output::hint(if filter == (TaskFilter { limit: filter.limit, ..TaskFilter::default() }) {
            "there is no task; start one with 'stepwright task run TEMPLATE --input FILE'"
        } else {
            "no task matches; 'stepwright task summary' says how many there are in each state"
        });
    } else {
        output::line(table(&tasks, context.now(), Paint::stdout()))?;
        if let Some(next) = next {
            output::hint(format_args!("there may be more: --before {next}, or a larger --limit"));
        }
    }
    Ok(Exit::Good)
}

fn state(text: &str) -> Result<TaskState, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        format!("'{text}' is not a state; known are {}", known.join(", "))
    })
}

fn template(text: &str) -> Result<Reference, String> {
    if text.contains('@') {
        return Err("tasks are listed by template whatever its version; leave out the '@'".to_owned());
    }
    Ok(match text.split_once('/') {
        Some((namespace, name)) => Reference { namespace: Some(namespace.to_owned()), name: name.to_owned() },
        None => Reference { namespace: None, name: text.to_owned() },
    })
}

fn table(tasks: &[TaskSummary], now: Timestamp, paint: Paint) -> String {
    let names = ["ID", "TEMPLATE", "STATE", "STEPS", "CREATED", "TOOK", "KEY"];
    let mut columns = Columns::new(&names).right(&[0, 3]);
    for task in tasks {
        let took = task.finished_at.map(|finished| when::duration(finished.since(task.created_at)));
        let failed = if task.steps_in_error == 0 {
            String::new()
        } else {
            format!(" ({} in error)", task.steps_in_error)
        };
        let steps = format!("{}/{}{failed}", task.steps_finished, task.steps);
        columns.row([
            task.id.into(),
            format!("{}/{}@{}", task.namespace, task.template, task.version).into(),
            Entry::toned(task_tone(task.state), task.state),
            if failed.is_empty() { steps.into() } else { Entry::toned(Tone::Bad, steps) },
            when::ago(now, task.created_at).into(),
            took.unwrap_or_default().into(),
            task.idempotency_key.as_deref().unwrap_or_default().into(),
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples;
    use stepwright_workflow::step::StepState;

    #[test]
    fn a_task_is_one_line() {
        let mut task =
            samples::task(7, &[("a", StepState::Complete, &[]), ("b", StepState::Error, &["a"])]).summary;
        (task.state, task.finished_at) = (TaskState::Error, Some(Timestamp(1_300)));
        let shown = table(&[task], Timestamp(60_000), Paint::PLAIN);
        let words: Vec<&str> = shown
            .lines()
            .last()
            .unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(
            words,
            ["7", "shop/order@1.0.0", "error", "1/2 (1 in error)", "1 min 0 s ago", "1.3 s", "-"]
        );
    }

    #[test]
    fn filters_are_checked() {
        assert_eq!(state("in_progress"), Ok(TaskState::InProgress));
        assert!(state("running").unwrap_err().contains("known are pending, in_progress"));
        assert_eq!(template("order"), Ok(Reference { namespace: None, name: "order".to_owned() }));
        assert_eq!(
            template("shop/order"),
            Ok(Reference { namespace: Some("shop".to_owned()), name: "order".to_owned() })
        );
        assert!(template("shop/order@1.0.0").is_err());
    }
}
