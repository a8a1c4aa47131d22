//! What a person does to a task: cancel, retry, resolve, skip. Each is noted in the ledger with who and why.

use serde::Serialize;
use stepwright_orchestrator::operator::{self, Deed, OperatorError};
use stepwright_orchestrator::request;
use stepwright_store::Store;
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::watch::one_line;

/// Bytes of a reason: a sentence or two.
const REASON_BYTES_MAX: usize = 1_000;

const RETRIED: &str = "retried";

/// Who does it, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct DeedFlags {
    /// Why; kept in the task's notes.
    #[arg(long, visible_alias = "note", value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = reason)]
    reason: String,
    /// Who does it; kept in the task's notes.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "somebody", hide_env_values = true)]
    by: String,
}

impl DeedFlags {
    /// The deed.
    pub(crate) fn deed(&self) -> Deed {
        Deed { who: one_line(&self.by), why: self.reason.clone() }
    }
}

/// What to cancel.
#[derive(Debug, clap::Args)]
pub(crate) struct CancelArguments {
    /// The task.
    #[arg(value_name = "ID")]
    task: TaskId,
    #[command(flatten)]
    flags: DeedFlags,
}

/// What to retry.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArguments {
    /// The task.
    #[arg(value_name = "ID")]
    task: TaskId,
    /// Only this step [default: every step in error]
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    #[command(flatten)]
    flags: DeedFlags,
}

/// What to resolve.
#[derive(Debug, clap::Args)]
pub(crate) struct ResolveArguments {
    /// The task.
    #[arg(value_name = "ID")]
    task: TaskId,
    /// Only this step; those after it go on [default: the whole task]
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// What the steps after it read as its output [default: null]
    #[arg(long, value_name = "JSON", requires = "step")]
    output: Option<String>,
    #[command(flatten)]
    flags: DeedFlags,
}

/// What to skip.
#[derive(Debug, clap::Args)]
pub(crate) struct SkipArguments {
    /// The task.
    #[arg(value_name = "ID")]
    task: TaskId,
    /// The step.
    #[arg(long, value_name = "NAME")]
    step: String,
    #[command(flatten)]
    flags: DeedFlags,
}

pub(crate) async fn cancel(arguments: &CancelArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    operator::cancel_task(store.as_ref(), arguments.task, &arguments.flags.deed(), context.now()).await?;
    done((arguments.task, "cancelled"), Vec::new(), (store.as_ref(), context)).await
}

pub(crate) async fn retry(arguments: &RetryArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let (deed, step) = (arguments.flags.deed(), arguments.step.as_deref());
    let steps = operator::retry_step(store.as_ref(), arguments.task, step, &deed, context.now()).await?;
    done((arguments.task, RETRIED), steps, (store.as_ref(), context)).await
}

pub(crate) async fn resolve(arguments: &ResolveArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let (task, deed) = (arguments.task, arguments.flags.deed());
    let Some(step) = &arguments.step else {
        operator::resolve_task(store.as_ref(), task, &deed, context.now()).await?;
        return done((task, "resolved"), Vec::new(), (store.as_ref(), context)).await;
    };
    let output = arguments.output.as_deref().unwrap_or("null");
    let output =
        request::context(output).map_err(|error| CliError::new(error.replace("the context", "--output")))?;
    let most = context.config.orchestrator("").payload_bytes_max;
    if output.bytes() as u64 > most {
        let bytes = output.bytes();
        return Err(CliError::new(format!(
            "--output has {bytes} bytes; wire.payload_bytes_max allows {most}"
        )));
    }
    operator::resolve_step(store.as_ref(), (task, step), output, &deed, context.now()).await?;
    done((task, "resolved"), vec![step.clone()], (store.as_ref(), context)).await
}

pub(crate) async fn skip(arguments: &SkipArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let SkipArguments { task, step, flags } = arguments;
    operator::skip_step(store.as_ref(), *task, step, &flags.deed(), context.now()).await?;
    done((*task, "skipped"), vec![step.clone()], (store.as_ref(), context)).await
}

/// What `--json` prints.
#[derive(Serialize)]
struct Done {
    task: TaskId,
    /// `cancelled`, `retried`, `resolved` or `skipped`.
    deed: &'static str,
    /// The steps that it was done to; empty if it was done to the task.
    steps: Vec<String>,
    /// Where the task stands now.
    state: TaskState,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { task, deed, steps, state } = self;
        match steps.as_slice() {
            [] => write!(f, "task {task}: {deed}; it is {state} now"),
            // The steps may have run again already, so the state would say little of the deed.
            steps if *deed == RETRIED => write!(f, "task {task}: {deed} {}", steps.join(", ")),
            steps => write!(f, "task {task}: {deed} {}; the task is {state} now", steps.join(", ")),
        }
    }
}

async fn done(
    (task, deed): (TaskId, &'static str),
    steps: Vec<String>,
    (store, context): (&dyn Store, &Context),
) -> Result<Exit, CliError> {
    context.wake(store).await;
    let states = store.task_states(&[task]).await?;
    let (_, state) = *states.first().ok_or(OperatorError::NoTask(task))?;
    let done = Done { task, deed, steps, state };
    if context.json {
        return output::json(&done).map(|()| Exit::Good);
    }
    output::line(&done)?;
    if !done.state.is_final() {
        output::hint(format_args!("follow it with 'stepwright task watch {task}'"));
    }
    Ok(Exit::Good)
}

fn reason(text: &str) -> Result<String, String> {
    if text.len() > REASON_BYTES_MAX {
        return Err(format!("{} bytes; at most {REASON_BYTES_MAX}", text.len()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn what_was_done_is_one_sentence() {
        let mut done = Done {
            task: TaskId(7),
            deed: RETRIED,
            steps: vec!["pay".to_owned()],
            state: TaskState::InProgress,
        };
        assert_eq!(done.to_string(), "task 7: retried pay");
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            r#"{"task":7,"deed":"retried","steps":["pay"],"state":"in_progress"}"#
        );
        done.deed = "skipped";
        assert_eq!(done.to_string(), "task 7: skipped pay; the task is in_progress now");
        (done.deed, done.steps, done.state) = ("cancelled", Vec::new(), TaskState::Cancelled);
        assert_eq!(done.to_string(), "task 7: cancelled; it is cancelled now");
    }

    #[test]
    fn an_output_needs_a_step() {
        let parse = |arguments: &[&str]| {
            crate::cli::Cli::try_parse_from(["stepwright", "task", "resolve", "7"].iter().chain(arguments))
                .is_ok()
        };
        assert!(parse(&[]));
        assert!(parse(&["--step", "pay", "--output", "{}", "--reason", "cash", "--by", "ann"]));
        assert!(parse(&["--step", "pay", "--note", "cash"]));
        assert!(!parse(&["--output", "{}"]));
        assert!(!parse(&["--reason", &"x".repeat(1_001)]));
    }
}
