//! Batches: which steps went where, and what came back.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_store::{BatchFilter, BatchState, TokenScope};
use stepwright_workflow::BatchId;
use utoipa::IntoParams;

use super::{NAME_BYTES_MAX, before, next, page, since};
use crate::app::App;
use crate::code::Code;
use crate::extract::{Answer, At, Id, Query, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{Batch, BatchList, BatchSummary};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/batches", list)
            .named("batches", "list_batches", "Batches, newest first")
            .needs(TokenScope::Read)
            .query::<WhichBatches>()
            .answers::<BatchList>(StatusCode::OK, "A page of them"),
        Route::get("/v1/batches/{id}", show)
            .named("batches", "show_batch", "Everything that the ledger has about a batch")
            .needs(TokenScope::Read)
            .answers::<Batch>(StatusCode::OK, "The batch")
            .fails(&[Code::BatchNotFound]),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichBatches {
    /// Only batches of workers with this name.
    worker: Option<String>,
    /// Only batches that stand so.
    #[param(pattern = "^(open|reconciled|discrepancy|lost)$")]
    state: Option<String>,
    /// Only batches that were made in this time until now, such as `1h`.
    #[param(pattern = "^[0-9]{1,6}(ms|s|m|h|d)$")]
    since: Option<String>,
    /// At most so many; 50 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only batches with a smaller id: `next` of the page before.
    #[param(minimum = 1)]
    before: Option<i64>,
}

async fn list(
    State(app): State<App>,
    Query(which): Query<WhichBatches>,
) -> Result<Answer<BatchList>, Problem> {
    let limit = page(which.limit)?;
    which.worker.as_ref().map_or(Ok(()), |worker| plain("worker", worker, NAME_BYTES_MAX))?;
    let filter = BatchFilter {
        worker: which.worker,
        state: which.state.as_deref().map(state).transpose()?,
        since: which.since.as_deref().map(|text| since(text, app.now())).transpose()?,
        before: before(which.before)?.map(BatchId),
        limit,
    };
    let batches = app.store().batches(&filter).await?;
    let batches: Vec<BatchSummary> = batches.into_iter().map(BatchSummary::from).collect();
    let next = next(&batches, limit, |batch| batch.id);
    Ok(Answer::ok(BatchList { batches, next }))
}

fn state(word: &str) -> Result<BatchState, Problem> {
    word.parse().map_err(|_| {
        let known: Vec<&str> = BatchState::ALL.iter().map(|state| state.as_str()).collect();
        Problem::field("state", format!("'{word}' is not a state of batches; known are {}", known.join(", ")))
    })
}

async fn show(State(app): State<App>, At(id): At<Id>) -> Result<Answer<Batch>, Problem> {
    let id = id.batch();
    let missing = || Problem::new(Code::BatchNotFound, format!("there is no batch {id}"));
    Ok(Answer::ok(app.store().batch(id).await?.ok_or_else(missing)?.into()))
}
