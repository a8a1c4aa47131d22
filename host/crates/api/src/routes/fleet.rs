//! Who is there: workers and orchestrators.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_store::{TokenScope, WorkerState};
use utoipa::IntoParams;

use super::page;
use crate::app::App;
use crate::extract::{Answer, Query};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Orchestrator, OrchestratorList, Worker, WorkerList};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/workers", workers)
            .named("fleet", "list_workers", "Workers, the latest first")
            .needs(TokenScope::Read)
            .query::<WhichWorkers>()
            .answers::<WorkerList>(StatusCode::OK, "They"),
        Route::get("/v1/orchestrators", orchestrators)
            .named("fleet", "list_orchestrators", "Orchestrators, by their start")
            .needs(TokenScope::Read)
            .answers::<OrchestratorList>(StatusCode::OK, "They"),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichWorkers {
    /// Whether those that left or were lost are listed as well.
    all: Option<bool>,
    /// At most so many, those that joined last; 50 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

async fn workers(
    State(app): State<App>,
    Query(which): Query<WhichWorkers>,
) -> Result<Answer<WorkerList>, Problem> {
    let state = (which.all != Some(true)).then_some(WorkerState::Joined);
    let workers = app.store().workers(state, page(which.limit)?).await?;
    Ok(Answer::ok(WorkerList { workers: workers.into_iter().map(Worker::from).collect() }))
}

async fn orchestrators(State(app): State<App>) -> Result<Answer<OrchestratorList>, Problem> {
    let orchestrators = app.store().orchestrators().await?;
    Ok(Answer::ok(OrchestratorList {
        orchestrators: orchestrators.into_iter().map(Orchestrator::from).collect(),
    }))
}
