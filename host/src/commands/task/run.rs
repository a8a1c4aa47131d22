//! `task run`: checks what tasks are to be started with, creates them, and watches them if wanted.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use stepwright_orchestrator::catalog::{self, TaskRequest};
use stepwright_orchestrator::request::{Desk, InputProblem, context as started_with, delay, moment};
use stepwright_store::{Created, NewTask, Store, WorkerState};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{TaskId, Timestamp};

use super::batch::{self, Defaults, PROBLEMS_MAX};
use super::create;
use super::request;
use super::watch::{self, WaitFlags};
use crate::commands::template::explained;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::watch::{Counts, Watched};
use crate::{input, output};

pub(super) const EXAMPLES: &str = "\
A batch has one JSON object a line: {\"context\": …}, and if wanted \"idempotency_key\", \"tags\", \"priority\", and \"at\" or \"in\".
Every line is checked before the first task is created.

Exit codes: 0 created, or complete if waited for; 1 refused; 2 a task is in error; 3 a task was cancelled; 4 not settled
in time.

Examples:
  stepwright task run shop/order --input order.json --watch
  stepwright task run shop/order --input order.json --in 2h
  stepwright task run shop/order@1.2.0 --json-input '{\"order_id\": 7}' --idempotency-key order-7
  generate | stepwright task run shop/order --batch - --wait --timeout 10m --json";

/// What to start, and whether to wait for it.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// The template: namespace/name, or name; with @version, or else the one registered last.
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The task's context, as a JSON file; '-' for stdin [default: {}]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The task's context, as JSON.
    #[arg(long, value_name = "JSON", conflicts_with = "input")]
    json_input: Option<String>,
    /// Start one task for each line of a file; '-' for stdin.
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["input", "json_input", "idempotency_key"])]
    batch: Option<PathBuf>,
    /// Higher is begun first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// A label; may be given several times.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = request::tag)]
    tags: Vec<(String, String)>,
    /// Starting again with the same key returns the first task and creates nothing.
    #[arg(long, value_name = "KEY", value_parser = request::key)]
    idempotency_key: Option<String>,
    /// Begin nothing before this moment, such as 2026-12-24T08:00:00+01:00.
    #[arg(long, value_name = "RFC3339", value_parser = moment, conflicts_with = "delay")]
    at: Option<Timestamp>,
    /// Begin nothing for so long, such as 30s, 5m, 2h or 1d.
    #[arg(long = "in", id = "delay", value_name = "DURATION", value_parser = delay)]
    delay: Option<Duration>,
    #[command(flatten)]
    wait: WaitFlags,
}

#[derive(Serialize)]
struct Started {
    #[serde(flatten)]
    created: Created,
    /// Where it stands; only if it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<TaskState>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    tasks: Vec<Started>,
    /// Only if they were waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    /// Some were not settled in time; only if they were waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    timed_out: Option<bool>,
}

/// The first line of `--watch --json`.
#[derive(Serialize)]
#[serde(tag = "event", rename = "created")]
struct CreatedLine<'a> {
    tasks: &'a [Created],
}

pub(crate) async fn run(arguments: &RunArguments, context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let tasks = tasks(arguments, store.as_ref(), context).await?;
    let created = create::create(store.as_ref(), &tasks, context).await?;
    drop(tasks);
    if !arguments.wait.is_wanted() {
        tell(&created, context)?;
        return Ok(Exit::Good);
    }
    let ids: Vec<TaskId> = created.iter().map(|created| created.task).collect();
    match (context.json, arguments.wait.watch) {
        (true, true) => output::json(&CreatedLine { tasks: &created })?,
        (true, false) => {}
        (false, _) => output::line(create::sentence(&created))?,
    }
    warn_without_workers(store.as_ref(), context).await?;
    let watched = watch::watch(&ids, &arguments.wait, (store.as_ref(), context)).await?;
    if context.json && !arguments.wait.watch {
        output::json(&report(&created, &watched))?;
    }
    Ok(watch::exit(&ids, &watched))
}

/// Everything that is to be created, checked.
async fn tasks(
    arguments: &RunArguments,
    store: &dyn Store,
    context: &Context,
) -> Result<Vec<NewTask>, CliError> {
    let payload_bytes_max = context.config.orchestrator("").payload_bytes_max;
    let RunArguments { tags, priority, at, delay, .. } = arguments;
    let start_at = at.or_else(|| delay.map(|delay| context.now().after(delay)));
    let prepared = catalog::prepare(store, &arguments.template, &context.config.environment).await;
    let prepared = prepared.map_err(explained)?;
    let desk = Desk { prepared: &prepared, payload_bytes_max };
    let Some(path) = &arguments.batch else {
        let request = TaskRequest {
            context: started_with(&context_text(arguments, payload_bytes_max)?).map_err(CliError::new)?,
            tags: tags.clone(),
            priority: *priority,
            idempotency_key: arguments.idempotency_key.clone(),
            start_at,
        };
        return match desk.task(None, request) {
            Ok(task) => Ok(vec![task]),
            Err(problems) => {
                Err(CliError::listed("the context does not fit the template; nothing was started", &problems))
            }
        };
    };
    let defaults =
        Defaults { tags: tags.clone(), priority: *priority, start_at, now: context.now(), payload_bytes_max };
    check_batch(&input::name(path), batch::read(&input::name(path), input::open(path)?, &defaults)?, &desk)
}

fn context_text(arguments: &RunArguments, payload_bytes_max: u64) -> Result<String, CliError> {
    match (&arguments.json_input, &arguments.input) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) => input::text(path, payload_bytes_max),
        (None, None) => Ok("{}".to_owned()),
    }
}

/// Every line as a task, or every problem of every line.
fn check_batch(file: &str, lines: Vec<batch::Numbered>, desk: &Desk<'_>) -> Result<Vec<NewTask>, CliError> {
    let (all, mut bad) = (lines.len(), 0_usize);
    let (mut tasks, mut problems) = (Vec::with_capacity(all), Vec::<InputProblem>::new());
    for (line, request) in lines {
        match request.map_err(|problem| vec![problem]).and_then(|request| desk.task(Some(line), request)) {
            Ok(task) => tasks.push(task),
            Err(found) => {
                bad += 1;
                problems.extend(found);
            }
        }
    }
    if all == 0 {
        return Err(CliError::new(format!(
            "{file} has no line; write one JSON object a line: {{\"context\": …}}"
        )));
    }
    if bad == 0 {
        return Ok(tasks);
    }
    let shown = if problems.len() > PROBLEMS_MAX {
        format!("; the first {PROBLEMS_MAX} problems are shown")
    } else {
        String::new()
    };
    problems.truncate(PROBLEMS_MAX);
    Err(CliError::listed(
        format!("{bad} of {all} lines of {file} are wrong; nothing was started{shown}"),
        &problems,
    ))
}

fn tell(created: &[Created], context: &Context) -> Result<(), CliError> {
    if context.json {
        let tasks = created.iter().map(|created| Started { created: *created, state: None });
        return output::json(&Report { tasks: tasks.collect(), counts: None, timed_out: None });
    }
    output::line(create::sentence(created))?;
    if let [Created { task, .. }] = created {
        output::hint(format_args!("follow it with 'stepwright task watch {task}'"));
    }
    Ok(())
}

/// Waiting is in vain as long as nobody runs steps.
async fn warn_without_workers(store: &dyn Store, context: &Context) -> Result<(), CliError> {
    if !context.json && store.workers(Some(WorkerState::Joined), 1).await?.is_empty() {
        output::hint(
            "no worker is there yet; start one with 'stepwright work', or everything with 'stepwright dev'",
        );
    }
    Ok(())
}

fn report(created: &[Created], watched: &Watched) -> Report {
    let tasks =
        created.iter().map(|created| Started { created: *created, state: watched.state(created.task) });
    Report { tasks: tasks.collect(), counts: Some(watched.counts()), timed_out: Some(watched.is_timed_out()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(task: i64, existing: bool) -> Created {
        Created { task: TaskId(task), existing }
    }

    #[test]
    fn the_json_shape_is_fixed() {
        let report = Report {
            tasks: vec![Started { created: created(7, false), state: Some(TaskState::Complete) }],
            counts: Some(Counts::from([(TaskState::Complete, 1)])),
            timed_out: Some(false),
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"tasks":[{"task":7,"existing":false,"state":"complete"}],"counts":{"complete":1},"timed_out":false}"#
        );
        assert_eq!(
            serde_json::to_string(&CreatedLine { tasks: &[created(7, true)] }).unwrap(),
            r#"{"event":"created","tasks":[{"task":7,"existing":true}]}"#
        );
    }

    #[test]
    fn a_duration_without_waiting_is_refused() {
        use clap::Parser as _;
        let parse = |arguments: &[&str]| {
            crate::cli::Cli::try_parse_from(
                ["stepwright", "task", "run", "shop/order"].iter().chain(arguments),
            )
        };
        assert!(parse(&["--timeout", "5m"]).is_err());
        assert!(parse(&["--timeout", "soon", "--wait"]).is_err());
        assert!(parse(&["--input", "a.json", "--json-input", "{}"]).is_err());
        assert!(parse(&["--batch", "a.jsonl", "--idempotency-key", "k"]).is_err());
        assert!(parse(&["--at", "2026-12-24T08:00:00Z", "--in", "5m"]).is_err());
        assert!(parse(&["--at", "tomorrow"]).is_err());
        assert!(parse(&["--in", "5m"]).is_ok());
        assert!(
            parse(&["--batch", "-", "--watch", "--timeout", "5m", "--priority", "-3", "--tag", "a=b"])
                .is_ok()
        );
    }
}
