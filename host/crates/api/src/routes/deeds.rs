//! What a person may do to a task and its steps. Each deed is noted with who and why, and answers with the task as it is then.

use axum::Extension;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::{operator, pauses};
use stepwright_store::TokenScope;
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Payload, TaskId};
use utoipa::ToSchema;

use super::tasks::view;
use super::{NAME_BYTES_MAX, Why, deed};
use crate::access::Caller;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, Id, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Json, Task};

pub(super) fn routes() -> Vec<Route> {
    vec![
        of_task("/v1/tasks/{id}/cancel", cancel).named("tasks", "cancel_task", "Stop a task for good"),
        of_task("/v1/tasks/{id}/resolve", resolve).named(
            "tasks",
            "resolve_task",
            "Declare a task done, whatever its steps say",
        ),
        of_task("/v1/tasks/{id}/pause", pause).named("tasks", "pause_task", "Let none of its steps begin"),
        of_task("/v1/tasks/{id}/resume", resume).named("tasks", "resume_task", "Let it go on"),
        of_task("/v1/tasks/{id}/retry", retry).named(
            "tasks",
            "retry_task",
            "Give each of its steps in error another attempt",
        ),
        of_step("/v1/tasks/{id}/steps/{name}/retry", retry_step).body::<Why>().named(
            "steps",
            "retry_step",
            "Give a step in error another attempt",
        ),
        of_step("/v1/tasks/{id}/steps/{name}/resolve", resolve_step).body::<Resolution>().named(
            "steps",
            "resolve_step",
            "Give a step an output in place of its handler's",
        ),
        of_step("/v1/tasks/{id}/steps/{name}/skip", skip_step).body::<Why>().named(
            "steps",
            "skip_step",
            "Let the task go on without a step",
        ),
    ]
}

fn of_task<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route::post(path, handler)
        .needs(TokenScope::Operate)
        .body::<Why>()
        .answers::<Task>(StatusCode::OK, "The task as it is now")
        .fails(&[Code::TaskNotFound, Code::Conflict])
}

fn of_step<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route::post(path, handler)
        .needs(TokenScope::Operate)
        .answers::<Task>(StatusCode::OK, "The task as it is now")
        .fails(&[Code::TaskNotFound, Code::StepNotFound, Code::Conflict])
}

/// A step's output, by whom and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Resolution {
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Who; the token's name is kept beside it. Without this it is the token's name alone.
    #[schema(min_length = 1, max_length = 200)]
    by: Option<String>,
    /// What the steps after it read as its output; null without it.
    #[serde(default)]
    #[schema(value_type = Json, required = false)]
    output: Option<Json>,
}

impl Inner {
    async fn why(&self, request: Request) -> Result<Why, Problem> {
        self.json(request, self.options().body_bytes_max).await
    }

    /// Tells whoever claims steps, and answers with the task.
    async fn done(&self, task: TaskId) -> Result<Answer<Task>, Problem> {
        self.parts.host.wake().await;
        Ok(Answer::ok(view(self, task).await?))
    }
}

async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    operator::cancel_task(app.store(), id, &deed, app.now()).await?;
    app.done(id).await
}

async fn resolve(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    operator::resolve_task(app.store(), id, &deed, app.now()).await?;
    app.done(id).await
}

async fn pause(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    pauses::pause(app.store(), &PauseTarget::Task(id), &deed, app.now()).await?;
    app.done(id).await
}

async fn resume(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    pauses::resume(app.store(), &PauseTarget::Task(id), &deed, app.now()).await?;
    app.done(id).await
}

async fn retry(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At(id): At<Id>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    operator::retry_step(app.store(), id, None, &deed, app.now()).await?;
    app.done(id).await
}

async fn retry_step(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At((id, name)): At<(Id, String)>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    plain("name", &name, NAME_BYTES_MAX)?;
    operator::retry_step(app.store(), id, Some(&name), &deed, app.now()).await?;
    app.done(id).await
}

async fn resolve_step(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At((id, name)): At<(Id, String)>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let id = id.task()?;
    let resolution: Resolution = app.json(request, app.options().body_bytes_max).await?;
    let deed = deed(&resolution.reason, resolution.by.as_deref(), &caller)?;
    plain("name", &name, NAME_BYTES_MAX)?;
    let output = resolution.output.map_or(Payload::null(), |Json(output)| output);
    let output =
        Payload::parse(output.as_str()).map_err(|error| Problem::field("output", error.to_string()))?;
    let (bytes, most) = (output.bytes() as u64, app.options().payload_bytes_max);
    if bytes > most {
        let message = format!("{bytes} bytes; wire.payload_bytes_max allows {most}");
        return Err(Problem::new(Code::PayloadTooLarge, format!("output: {message}")));
    }
    operator::resolve_step(app.store(), (id, &name), output, &deed, app.now()).await?;
    app.done(id).await
}

async fn skip_step(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    At((id, name)): At<(Id, String)>,
    request: Request,
) -> Result<Answer<Task>, Problem> {
    let (id, deed) = (id.task()?, app.why(request).await?.deed(&caller)?);
    plain("name", &name, NAME_BYTES_MAX)?;
    operator::skip_step(app.store(), id, &name, &deed, app.now()).await?;
    app.done(id).await
}
