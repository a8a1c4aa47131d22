//! Tasks are looked at, and waited for.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::request::delay;
use stepwright_store::{TaskFilter, TokenScope};
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;
use utoipa::IntoParams;

use super::{NAME_BYTES_MAX, before, next, page};
use crate::access::Caller;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, Id, Query, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Attempt, AttemptList, History, Task, TaskList, TaskSummary, WaitedTask};

/// How long a wait is unless it says so: short enough for every proxy on the way.
const WAIT: Duration = Duration::from_secs(30);
/// The longest wait: whoever wants to wait longer asks again, and has noticed meanwhile if the connection broke.
const WAIT_MAX: Duration = Duration::from_secs(300);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/tasks", list)
            .named("tasks", "list_tasks", "Tasks, newest first")
            .needs(TokenScope::Read)
            .query::<WhichTasks>()
            .answers::<TaskList>(StatusCode::OK, "A page of them"),
        Route::get("/v1/tasks/{id}", show)
            .named(
                "tasks",
                "show_task",
                "A task with its steps, their outputs and failures, and what to do about it",
            )
            .needs(TokenScope::Read)
            .answers::<Task>(StatusCode::OK, "The task")
            .fails(&[Code::TaskNotFound]),
        Route::get("/v1/tasks/{id}/wait", wait)
            .named("tasks", "wait_for_task", "The same, once it has settled or the time is over")
            .described("Ends early while the process is stopping; `settled` says what is so.")
            .needs(TokenScope::Read)
            .query::<HowLong>()
            .answers::<WaitedTask>(StatusCode::OK, "The task as it is then")
            .fails(&[Code::TaskNotFound]),
        Route::get("/v1/tasks/{id}/attempts", attempts)
            .named("tasks", "list_attempts", "Every recorded attempt of its steps")
            .needs(TokenScope::Read)
            .answers::<AttemptList>(StatusCode::OK, "They, by step and attempt")
            .fails(&[Code::TaskNotFound]),
        Route::get("/v1/tasks/{id}/history", history)
            .named("tasks", "task_history", "Everything that ever happened to it")
            .needs(TokenScope::Read)
            .answers::<History>(StatusCode::OK, "Oldest first")
            .fails(&[Code::TaskNotFound]),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichTasks {
    /// Only tasks in one of these states, separated by commas.
    #[param(
        pattern = "^(pending|in_progress|complete|error|cancelled|resolved_manually)(,(pending|in_progress|complete|error|cancelled|resolved_manually))*$"
    )]
    state: Option<String>,
    /// Only tasks of this namespace.
    namespace: Option<String>,
    /// Only tasks of a template of this name.
    template: Option<String>,
    /// At most so many; 50 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only tasks with a smaller id: `next` of the page before.
    #[param(minimum = 1)]
    before: Option<i64>,
}

async fn list(State(app): State<App>, Query(which): Query<WhichTasks>) -> Result<Answer<TaskList>, Problem> {
    let limit = page(which.limit)?;
    for (field, text) in [("namespace", &which.namespace), ("template", &which.template)] {
        text.as_ref().map_or(Ok(()), |text| plain(field, text, NAME_BYTES_MAX))?;
    }
    let filter = TaskFilter {
        states: which.state.as_deref().map(states).transpose()?.unwrap_or_default(),
        namespace: which.namespace,
        template: which.template,
        before: before(which.before)?.map(TaskId),
        limit,
    };
    let tasks: Vec<TaskSummary> =
        app.store().tasks(&filter).await?.into_iter().map(TaskSummary::from).collect();
    let next = next(&tasks, limit, |task| task.id);
    Ok(Answer::ok(TaskList { tasks, next }))
}

fn states(text: &str) -> Result<Vec<TaskState>, Problem> {
    let state = |word: &str| {
        word.parse().map_err(|_| {
            let known: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
            Problem::field("state", format!("'{word}' is not a state; known are {}", known.join(", ")))
        })
    };
    text.split(',').map(state).collect()
}

async fn show(State(app): State<App>, At(id): At<Id>) -> Result<Answer<Task>, Problem> {
    Ok(Answer::ok(view(&app, id.task()?).await?))
}

/// A task as it is now.
pub(super) async fn view(app: &Inner, id: TaskId) -> Result<Task, Problem> {
    Ok(Task::of(app.task(id).await?, app.now()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct HowLong {
    /// The longest wait, such as `30s`, which it is without this; at most `5m`.
    #[param(pattern = "^([0-9]{1,5}ms|[0-9]{1,2}s|[1-5]m)$")]
    timeout: Option<String>,
}

async fn wait(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    Query(how_long): Query<HowLong>,
) -> Result<Answer<WaitedTask>, Problem> {
    let id = id.task()?;
    let longest = match how_long.timeout.as_deref().map(delay).transpose() {
        Ok(longest) => longest.unwrap_or(WAIT),
        Err(why) => return Err(Problem::field("timeout", why)),
    };
    if longest > WAIT_MAX {
        return Err(Problem::field("timeout", "at most 5m; ask again to wait longer"));
    }
    let states = app.store().task_states(&[id]).await?;
    let (_, state) = states.first().ok_or_else(|| crate::problem::no_task(id))?;
    if !state.is_settled() {
        let _place = app.limits.place(caller.token)?;
        tokio::select! {
            settled = app.settled(id) => settled?,
            () = tokio::time::sleep(longest) => {}
            () = app.stop() => {}
        }
    }
    let task = view(&app, id).await?;
    Ok(Answer::ok(WaitedTask { settled: task.summary.state.0.is_settled(), task }))
}

async fn attempts(State(app): State<App>, At(id): At<Id>) -> Result<Answer<AttemptList>, Problem> {
    let id = id.task()?;
    let attempts = app.store().attempts(id).await?;
    if attempts.is_empty() && app.store().task_states(&[id]).await?.is_empty() {
        return Err(crate::problem::no_task(id));
    }
    Ok(Answer::ok(AttemptList { attempts: attempts.into_iter().map(Attempt::from).collect() }))
}

async fn history(State(app): State<App>, At(id): At<Id>) -> Result<Answer<History>, Problem> {
    let record = app.task(id.task()?).await?;
    let history = app.parts.host.history(&record).await?;
    Ok(Answer::ok(History { task: record.summary.id.0, history }))
}
