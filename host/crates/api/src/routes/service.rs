//! How the process is, and what the API is.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At};
use crate::openapi;
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Check, Health, Json, Readiness};

/// How long the database may take to answer: a probe of Kubernetes gives up after a second, a load balancer after some.
const DATABASE_MAX: Duration = Duration::from_secs(2);

/// Rounds that fail one after another before it cannot work: one may meet a database that is being restarted.
const FAILING_MIN: u64 = 3;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/health", health)
            .named("service", "health", "That the process answers")
            .free()
            .answers::<Health>(StatusCode::OK, "It does"),
        Route::get("/v1/ready", ready)
            .named("service", "ready", "Whether it can work")
            .described("For load balancers: 503 while the database is away or takes no writes, or the process is stopping.")
            .free()
            .answers::<Readiness>(StatusCode::OK, "It can")
            .answers::<Readiness>(StatusCode::SERVICE_UNAVAILABLE, "It cannot; the checks say why"),
        Route::get("/v1/openapi.json", document)
            .named("service", "openapi", "This document")
            .free()
            .answers::<Json>(StatusCode::OK, "OpenAPI 3.1"),
        Route::get("/v1/errors/{code}", page)
            .named("service", "error_page", "When a problem's code comes, and what to do")
            .free()
            .answers_text("A page for people")
            .fails(&[Code::NotFound]),
    ]
}

async fn health(State(app): State<App>) -> Answer<Health> {
    Answer::ok(Health { status: "ok", version: app.options().version.clone() })
}

async fn ready(State(app): State<App>) -> Answer<Readiness> {
    let checks = vec![process(&app), database(&app).await, orchestrator(&app)];
    if checks.iter().all(|check| check.ok) {
        Answer::ok(Readiness { status: "ready", checks })
    } else {
        Answer(StatusCode::SERVICE_UNAVAILABLE, Readiness { status: "unavailable", checks })
    }
}

fn check(name: &'static str, wrong: Option<String>) -> Check {
    Check { name, ok: wrong.is_none(), detail: wrong }
}

fn process(app: &Inner) -> Check {
    check("process", app.is_stopping().then(|| "it is stopping".to_owned()))
}

async fn database(app: &Inner) -> Check {
    let wrong = match timeout(DATABASE_MAX, app.store().glance(app.now())).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it did not answer within {} s", DATABASE_MAX.as_secs())),
    };
    check("database", wrong)
}

fn orchestrator(app: &Inner) -> Check {
    let wrong = app.parts.orchestrator.as_ref().and_then(|orchestrator| {
        let failing = orchestrator.stats().rounds_failing;
        if orchestrator.is_stopped() {
            Some("it has stopped".to_owned())
        } else if failing >= FAILING_MIN {
            Some(format!("its last {failing} rounds failed; the host's log says why"))
        } else {
            None
        }
    });
    check("orchestrator", wrong)
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

async fn page(At(code): At<String>) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NotFound, format!("there is no code '{code}'"));
    let code = Code::find(&code).ok_or_else(unknown)?;
    let page = format!("{}\n\n{}\n", code.as_str(), code.page().unwrap_or_default());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response())
}
