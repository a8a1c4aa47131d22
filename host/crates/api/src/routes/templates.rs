//! Templates: what tasks are made from.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::catalog::{self, CatalogError, Plugins};
use stepwright_store::{Added, TemplateSource, TokenScope};
use stepwright_workflow::template::Template as Parsed;
use stepwright_workflow::{Payload, Plan};
use utoipa::{IntoParams, ToSchema};

use super::NAME_BYTES_MAX;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, Query, media_type, plain, read, unsupported};
use crate::problem::{FieldError, Problem, internal};
use crate::route::Route;
use crate::view::{
    Json, RegisteredTemplate, ResolvedPlan, ResolvedStep, Template, TemplateList, TemplateWithSource,
};

/// What a template is called in messages that was sent, not read from a file.
const SENT: &str = "template";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/templates", list)
            .named("templates", "list_templates", "The registered templates")
            .needs(TokenScope::Read)
            .answers::<TemplateList>(StatusCode::OK, "They"),
        Route::post("/v1/templates", add)
            .named(
                "templates",
                "add_template",
                "Check a template against the registered plugins, and register it",
            )
            .described(
                "The YAML text itself, or JSON around it. A version that was registered never changes.",
            )
            .needs(TokenScope::Operate)
            .body_text("application/yaml")
            .body_text("text/plain")
            .body::<NewTemplate>()
            .answers::<RegisteredTemplate>(StatusCode::CREATED, "It is new")
            .answers::<RegisteredTemplate>(StatusCode::OK, "It was there already, with the same text")
            .fails(&[Code::InvalidTemplate, Code::AlreadyExists]),
        Route::get("/v1/templates/{namespace}/{name}", show)
            .named("templates", "show_template", "A template as it was written")
            .needs(TokenScope::Read)
            .query::<WhichTemplate>()
            .answers::<TemplateWithSource>(StatusCode::OK, "The template")
            .fails(&[Code::TemplateNotFound]),
        Route::get("/v1/templates/{namespace}/{name}/plan", plan)
            .named("templates", "plan_template", "What its new tasks would run now")
            .needs(TokenScope::Read)
            .query::<WhichPlan>()
            .answers::<ResolvedPlan>(StatusCode::OK, "The plan, with every plugin pinned")
            .fails(&[Code::TemplateNotFound, Code::InvalidTemplate]),
    ]
}

/// A template to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTemplate {
    /// The YAML text.
    source: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichTemplate {
    /// The version; without it the one registered last.
    version: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichPlan {
    /// The version; without it the one registered last.
    version: Option<String>,
    /// The environment whose overrides apply; without it the host's own.
    environment: Option<String>,
}

async fn list(State(app): State<App>) -> Result<Answer<TemplateList>, Problem> {
    let templates = app.store().templates().await?;
    Ok(Answer::ok(TemplateList { templates: templates.into_iter().map(Template::from).collect() }))
}

async fn add(State(app): State<App>, request: Request) -> Result<Answer<RegisteredTemplate>, Problem> {
    let kind = media_type(request.headers());
    let is_json = kind == "application/json";
    if !is_json
        && !matches!(kind.as_str(), "application/yaml" | "application/x-yaml" | "text/yaml" | "text/plain")
    {
        return Err(unsupported(&kind, "application/yaml, text/plain or application/json"));
    }
    let bytes = app.bytes(request, app.options().body_bytes_max).await?;
    let source = if is_json { read::<NewTemplate>(&bytes)?.source } else { text(&bytes)? };
    if let Some(at) = source.find('\0') {
        let line = source[..at].lines().count().max(1);
        let error = FieldError::new(format!("line {line}"), "it holds the character U+0000");
        return Err(Problem::new(Code::InvalidTemplate, "the template has mistakes").with_errors(vec![error]));
    }
    let environment = &app.options().environment;
    let (template, added) =
        catalog::add_template(app.store(), (SENT, &source), environment, app.now()).await?;
    let created = added == Added::New;
    let registered = RegisteredTemplate {
        namespace: template.namespace.clone(),
        name: template.name.clone(),
        version: template.version.to_string(),
        created,
    };
    Ok(Answer::made(created, registered))
}

fn text(bytes: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|error| Problem::new(Code::InvalidRequest, format!("the body is not UTF-8: {error}")))
}

async fn show(
    State(app): State<App>,
    At((namespace, name)): At<(String, String)>,
    Query(which): Query<WhichTemplate>,
) -> Result<Answer<TemplateWithSource>, Problem> {
    let TemplateSource { record, source } = find(&app, &namespace, &name, which.version.as_deref()).await?;
    Ok(Answer::ok(TemplateWithSource { template: record.into(), source }))
}

async fn plan(
    State(app): State<App>,
    At((namespace, name)): At<(String, String)>,
    Query(which): Query<WhichPlan>,
) -> Result<Answer<ResolvedPlan>, Problem> {
    let environment = which.environment.as_deref().unwrap_or(&app.options().environment);
    plain("environment", environment, NAME_BYTES_MAX)?;
    let TemplateSource { record, source } = find(&app, &namespace, &name, which.version.as_deref()).await?;
    let reference = format!("{}/{}@{}", record.namespace, record.name, record.version);
    let template = Parsed::parse(&reference, &source).map_err(CatalogError::from)?;
    let plugins = Plugins::load(app.store()).await?;
    let plan = template.resolve(environment, &plugins).map_err(CatalogError::from)?;
    Ok(Answer::ok(resolved(&plan)?))
}

async fn find(
    app: &Inner,
    namespace: &str,
    name: &str,
    version: Option<&str>,
) -> Result<TemplateSource, Problem> {
    let found = app.store().template(namespace, name, version).await?;
    found.ok_or_else(|| {
        let version = version.map(|version| format!("@{version}")).unwrap_or_default();
        Problem::new(Code::TemplateNotFound, format!("there is no template '{namespace}/{name}{version}'"))
    })
}

fn resolved(plan: &Plan) -> Result<ResolvedPlan, Problem> {
    let mut steps = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let parents = step.parents.iter().filter_map(|parent| plan.step(*parent));
        steps.push(ResolvedStep {
            name: step.name.clone(),
            plugin: step.plugin.clone(),
            plugin_version: step.plugin_version.clone(),
            digest: step.digest.to_string(),
            handler: step.handler.clone(),
            parents: parents.map(|parent| parent.name.clone()).collect(),
            config: Json(step.config.clone()),
            timeout_ms: step.timeout_ms,
            retry: Json(Payload::of(&step.retry).map_err(|error| internal(&error))?),
            limits: Json(Payload::of(&step.limits).map_err(|error| internal(&error))?),
        });
    }
    Ok(ResolvedPlan {
        namespace: plan.namespace.clone(),
        name: plan.name.clone(),
        version: plan.version.clone(),
        environment: plan.environment.clone(),
        input_schema: plan.input_schema.clone().map(Json),
        steps,
    })
}
