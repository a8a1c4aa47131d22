//! Pauses: nothing new begins under a task, a template, a namespace, a plugin or a component, and then it goes on.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::pauses;
use stepwright_store::TokenScope;
use stepwright_workflow::pause::PauseTarget;
use utoipa::ToSchema;

use super::{NAME_BYTES_MAX, deed};
use crate::access::Caller;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Pause, PauseChange, PauseList, PausedThing};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/pauses", list)
            .named("pauses", "list_pauses", "What is paused, by whom, and why")
            .needs(TokenScope::Read)
            .answers::<PauseList>(StatusCode::OK, "The oldest first"),
        Route::post("/v1/pauses", pause)
            .named("pauses", "pause", "Let nothing new begin under something")
            .described("What runs may finish; steps that would begin wait, and go on where they stood.")
            .needs(TokenScope::Operate)
            .body::<PauseOrder>()
            .answers::<PauseChange>(StatusCode::CREATED, "It is paused")
            .answers::<PauseChange>(StatusCode::OK, "It was paused before")
            .fails(&[
                Code::TaskNotFound,
                Code::TemplateNotFound,
                Code::NamespaceNotFound,
                Code::PluginNotFound,
                Code::Conflict,
            ]),
        Route::delete("/v1/pauses", resume)
            .named("pauses", "resume", "Let it go on")
            .needs(TokenScope::Operate)
            .body::<PauseOrder>()
            .answers::<PauseChange>(StatusCode::OK, "It goes on, or was not paused"),
    ]
}

/// What is paused or resumed, by whom and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseOrder {
    /// What.
    target: PauseTargetName,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Who; the token's name is kept beside it. Without this it is the token's name alone.
    #[schema(min_length = 1, max_length = 200)]
    by: Option<String>,
}

/// Something that can be paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseTargetName {
    /// What kind of thing it is.
    kind: PauseTargetKind,
    /// Its name: a task's number, a template or a plugin as namespace/name, a namespace, or a digest.
    #[schema(min_length = 1, max_length = 400)]
    name: String,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PauseTargetKind {
    Task,
    Template,
    Namespace,
    Plugin,
    Digest,
}

impl PauseTargetKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Template => "template",
            Self::Namespace => "namespace",
            Self::Plugin => "plugin",
            Self::Digest => "digest",
        }
    }
}

async fn list(State(app): State<App>) -> Result<Answer<PauseList>, Problem> {
    let pauses = app.store().pauses().await?;
    Ok(Answer::ok(PauseList { pauses: pauses.into_iter().map(Pause::from).collect() }))
}

async fn pause(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Answer<PauseChange>, Problem> {
    let order: PauseOrder = app.json(request, app.options().body_bytes_max).await?;
    let deed = deed(&order.reason, order.by.as_deref(), &caller)?;
    let target = target(&order.target)?;
    must_be_there(&app, &target).await?;
    let is_new = pauses::pause(app.store(), &target, &deed, app.now()).await?;
    app.parts.host.wake().await;
    Ok(Answer::made(is_new, change(&target, is_new)))
}

async fn resume(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Answer<PauseChange>, Problem> {
    let order: PauseOrder = app.json(request, app.options().body_bytes_max).await?;
    let deed = deed(&order.reason, order.by.as_deref(), &caller)?;
    let target = target(&order.target)?;
    let changed = pauses::resume(app.store(), &target, &deed, app.now()).await?;
    app.parts.host.wake().await;
    Ok(Answer::ok(change(&target, changed)))
}

fn change(target: &PauseTarget, changed: bool) -> PauseChange {
    PauseChange { target: PausedThing { kind: target.scope().into(), name: target.name() }, changed }
}

fn target(named: &PauseTargetName) -> Result<PauseTarget, Problem> {
    plain("target.name", &named.name, NAME_BYTES_MAX)?;
    let bad = |why: String| Problem::field("target.name", why);
    let target =
        PauseTarget::read(named.kind.as_str(), &named.name).map_err(|error| bad(error.to_string()))?;
    match &target {
        PauseTarget::Template { name, .. } if name.contains('@') => {
            Err(bad("write a template as namespace/name, without a version".to_owned()))
        }
        PauseTarget::Plugin(name) if name.contains('@') => {
            Err(bad("pause one version by its digest; the plugin's page has it".to_owned()))
        }
        _ => Ok(target),
    }
}

/// A pause of something that is not there would do nothing, and nobody would notice. The pause itself sees whether a task is.
async fn must_be_there(app: &Inner, target: &PauseTarget) -> Result<(), Problem> {
    let store = app.store();
    let (is_there, code) = match target {
        PauseTarget::Task(task) if task.0 > i64::MAX >> 16 => (false, Code::TaskNotFound),
        PauseTarget::Task(_) => return Ok(()),
        PauseTarget::Template { namespace, name } => {
            let known = store.templates().await?;
            (
                known.iter().any(|known| known.namespace == *namespace && known.name == *name),
                Code::TemplateNotFound,
            )
        }
        PauseTarget::Namespace(namespace) => (
            store.templates().await?.iter().any(|known| known.namespace == *namespace),
            Code::NamespaceNotFound,
        ),
        PauseTarget::Plugin(name) => {
            (store.plugins().await?.iter().any(|known| known.name == *name), Code::PluginNotFound)
        }
        PauseTarget::Digest(digest) => {
            (store.plugins().await?.iter().any(|known| known.digest == *digest), Code::PluginNotFound)
        }
    };
    if is_there {
        return Ok(());
    }
    let scope = target.scope().as_str();
    Err(Problem::new(code, format!("there is no {scope} '{}' that could be paused", target.name())))
}
