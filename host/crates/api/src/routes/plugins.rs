//! Plugins: registered, listed, and given other states.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use stepwright_orchestrator::plugins;
use stepwright_store::{PluginRecord, PluginState, TokenScope};
use utoipa::IntoParams;

use super::{NAME_BYTES_MAX, Why};
use crate::access::Caller;
use crate::app::{App, Inner, RegisterError, Upload};
use crate::code::Code;
use crate::extract::{Answer, At, Query, media_type, plain, unsupported};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Plugin, PluginList, PluginSummary, PluginVersions, RegisteredPlugin};

const VERSION: &str = "/v1/plugins/{namespace}/{name}/versions/{version}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/plugins", list)
            .named("plugins", "list_plugins", "Every registered version of every plugin")
            .needs(TokenScope::Read)
            .answers::<PluginList>(StatusCode::OK, "They"),
        Route::post("/v1/plugins", register)
            .named("plugins", "add_plugin", "Look at a component, and register it")
            .described(
                "The component is compiled under limits and asked in a sandbox what it is. One upload is looked at at a time.",
            )
            .needs(TokenScope::Admin)
            .query::<NewPlugin>()
            .body_bytes("application/wasm")
            .answers::<RegisteredPlugin>(StatusCode::CREATED, "It is new")
            .answers::<RegisteredPlugin>(StatusCode::OK, "It was there already, with the same bytes")
            .fails(&[Code::InvalidPlugin, Code::AlreadyExists]),
        Route::get("/v1/plugins/{namespace}/{name}", versions)
            .named("plugins", "list_plugin_versions", "The versions of a plugin")
            .needs(TokenScope::Read)
            .answers::<PluginVersions>(StatusCode::OK, "They")
            .fails(&[Code::PluginNotFound]),
        Route::get(VERSION, show)
            .named("plugins", "show_plugin", "Everything that is known of a version, its handlers with their schemas")
            .needs(TokenScope::Read)
            .answers::<Plugin>(StatusCode::OK, "The version")
            .fails(&[Code::PluginNotFound]),
        change(Route::post("/v1/plugins/{namespace}/{name}/versions/{version}/enable", enable))
            .named("plugins", "enable_plugin", "Let new tasks use a version; ends a quarantine"),
        change(Route::post("/v1/plugins/{namespace}/{name}/versions/{version}/disable", disable))
            .named("plugins", "disable_plugin", "Let nothing new resolve to a version"),
        change(Route::post("/v1/plugins/{namespace}/{name}/versions/{version}/yank", yank))
            .named("plugins", "yank_plugin", "Let only a requirement of exactly this version resolve to it"),
        change(Route::post("/v1/plugins/{namespace}/{name}/versions/{version}/quarantine", quarantine))
            .named("plugins", "quarantine_plugin", "Disable a version, and let none of its steps begin"),
    ]
}

fn change(route: Route) -> Route {
    route
        .needs(TokenScope::Admin)
        .body::<Why>()
        .answers::<Plugin>(StatusCode::OK, "The version as it is now")
        .fails(&[Code::PluginNotFound, Code::Conflict])
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct NewPlugin {
    /// A name in place of the component's own, as namespace/name.
    name: Option<String>,
    /// A version in place of the component's own.
    version: Option<String>,
    /// The file that `plugin sign` wrote, in base64.
    signature: Option<String>,
}

async fn list(State(app): State<App>) -> Result<Answer<PluginList>, Problem> {
    let plugins = app.store().plugins().await?.into_iter().map(PluginSummary::try_from);
    Ok(Answer::ok(PluginList { plugins: plugins.collect::<Result<_, _>>()? }))
}

async fn versions(
    State(app): State<App>,
    At((namespace, name)): At<(String, String)>,
) -> Result<Answer<PluginVersions>, Problem> {
    let name = format!("{namespace}/{name}");
    let all = app.store().plugins().await?.into_iter().filter(|record| record.name == name);
    let versions: Vec<PluginSummary> = all.map(PluginSummary::try_from).collect::<Result<_, _>>()?;
    if versions.is_empty() {
        return Err(unknown(&name));
    }
    Ok(Answer::ok(PluginVersions { name, versions }))
}

async fn show(State(app): State<App>, At(which): At<Which>) -> Result<Answer<Plugin>, Problem> {
    Ok(Answer::ok(find(&app, &which).await?.try_into()?))
}

/// Which version is meant.
#[derive(Debug, Deserialize)]
struct Which {
    namespace: String,
    name: String,
    version: String,
}

async fn find(app: &Inner, which: &Which) -> Result<PluginRecord, Problem> {
    let name = format!("{}/{}", which.namespace, which.name);
    let mut all = app.store().plugins().await?.into_iter();
    let found = all.find(|record| record.name == name && record.version == which.version);
    found.ok_or_else(|| unknown(&format!("{name}@{}", which.version)))
}

fn unknown(reference: &str) -> Problem {
    Problem::new(Code::PluginNotFound, format!("no plugin '{reference}' is registered"))
}

async fn register(
    State(app): State<App>,
    Query(new): Query<NewPlugin>,
    request: Request,
) -> Result<Answer<RegisteredPlugin>, Problem> {
    let kind = media_type(request.headers());
    if !matches!(kind.as_str(), "application/wasm" | "application/octet-stream") {
        return Err(unsupported(&kind, "application/wasm"));
    }
    let signatures = new.signature.as_deref().map(signatures).transpose()?;
    for (field, text) in [("name", &new.name), ("version", &new.version)] {
        text.as_ref().map_or(Ok(()), |text| plain(field, text, NAME_BYTES_MAX))?;
    }
    // Before the body is read, so that those who wait hold no memory.
    let busy = |_| {
        let detail = "another component is being looked at; one at a time is";
        Problem::new(Code::RateLimited, detail).again_in(5)
    };
    let _looking = app.uploads.try_acquire().map_err(busy)?;
    let bytes = app.bytes(request, app.options().component_bytes_max).await?;
    let upload = Upload { bytes, name: new.name, version: new.version, signatures };
    let registered = app.parts.host.register(upload).await.map_err(|error| match error {
        RegisterError::Refused(why) => Problem::new(Code::InvalidPlugin, why),
        RegisterError::Exists(why) => Problem::new(Code::AlreadyExists, why),
        RegisterError::Store(error) => error.into(),
        RegisterError::Unavailable(why) => {
            tracing::error!(why, "failed to keep a plugin");
            Problem::new(
                Code::Unavailable,
                "the place where plugins are kept does not answer; the host's log says why",
            )
        }
        RegisterError::Failed(_) => crate::problem::internal(&error),
    })?;
    Ok(Answer::made(registered.created, registered))
}

fn signatures(text: &str) -> Result<String, Problem> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Problem::field("signature", "write the file that 'plugin sign' wrote in base64"))
}

async fn enable(
    State(app): State<App>,
    caller: Extension<Caller>,
    At(which): At<Which>,
    request: Request,
) -> Result<Answer<Plugin>, Problem> {
    set(&app, &caller, (which, PluginState::Enabled), request).await
}

async fn disable(
    State(app): State<App>,
    caller: Extension<Caller>,
    At(which): At<Which>,
    request: Request,
) -> Result<Answer<Plugin>, Problem> {
    set(&app, &caller, (which, PluginState::Disabled), request).await
}

async fn yank(
    State(app): State<App>,
    caller: Extension<Caller>,
    At(which): At<Which>,
    request: Request,
) -> Result<Answer<Plugin>, Problem> {
    set(&app, &caller, (which, PluginState::Yanked), request).await
}

async fn quarantine(
    State(app): State<App>,
    caller: Extension<Caller>,
    At(which): At<Which>,
    request: Request,
) -> Result<Answer<Plugin>, Problem> {
    set(&app, &caller, (which, PluginState::Quarantined), request).await
}

async fn set(
    app: &Inner,
    caller: &Caller,
    (which, to): (Which, PluginState),
    request: Request,
) -> Result<Answer<Plugin>, Problem> {
    let why: Why = app.json(request, app.options().body_bytes_max).await?;
    let deed = why.deed(caller)?;
    let name = format!("{}/{}", which.namespace, which.name);
    plugins::change(app.store(), (&name, &which.version), to, &deed, app.now()).await?;
    app.parts.host.wake().await;
    Ok(Answer::ok(find(app, &which).await?.try_into()?))
}
