//! How the whole does, what was slowest, and how one task does.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_store::performance::{SAMPLE, SLOWEST_MAX, task_context};
use stepwright_store::{AnalyticsQuery, SlowestQuery, TokenScope};
use stepwright_workflow::Timestamp;
use stepwright_workflow::insight::TaskContext;
use utoipa::IntoParams;

use super::{NAME_BYTES_MAX, since};
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, Id, Query, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{
    Analytics, Execution, Levels, SlowStepList, SlowTask, SlowTaskList, SystemHealth, ViableSteps,
};

/// What is looked at unless it is said.
const ANALYTICS_SINCE: &str = "1h";
const SLOWEST_SINCE: &str = "24h";
/// How many of the slowest are listed unless it is said.
const SLOWEST: u32 = 10;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/analytics/metrics", metrics)
            .named(
                "performance",
                "analytics_metrics",
                "Figures of tasks and steps since a moment, and a health score",
            )
            .needs(TokenScope::Read)
            .query::<Since>()
            .answers::<Analytics>(StatusCode::OK, "The figures, each with the time that it is about"),
        Route::get("/v1/analytics/slowest/tasks", slowest_tasks)
            .named("performance", "slowest_tasks", "The settled tasks that took longest")
            .needs(TokenScope::Read)
            .query::<Slowest>()
            .answers::<SlowTaskList>(StatusCode::OK, "The slowest first"),
        Route::get("/v1/analytics/slowest/steps", slowest_steps)
            .named("performance", "slowest_steps", "The attempts of steps that ran longest")
            .needs(TokenScope::Read)
            .query::<Slowest>()
            .answers::<SlowStepList>(StatusCode::OK, "The slowest first"),
        Route::get("/v1/analytics/health", health)
            .named("performance", "system_health", "How much stands where")
            .needs(TokenScope::Read)
            .answers::<SystemHealth>(
                StatusCode::OK,
                "Tasks and steps by state, the queue, workers, connections",
            ),
        Route::get("/v1/tasks/{id}/execution", execution)
            .named("performance", "task_execution", "How far a task is, what could run, and what holds it up")
            .needs(TokenScope::Read)
            .answers::<Execution>(StatusCode::OK, "All that its steps say of it")
            .fails(&[Code::TaskNotFound]),
        Route::get("/v1/tasks/{id}/levels", levels)
            .named(
                "performance",
                "task_levels",
                "The level of each step: the longest way to it from a step without parents",
            )
            .needs(TokenScope::Read)
            .answers::<Levels>(StatusCode::OK, "By the step's name")
            .fails(&[Code::TaskNotFound]),
        Route::get("/v1/tasks/{id}/viable", viable)
            .named("performance", "task_viable_steps", "Steps that could be claimed now")
            .needs(TokenScope::Read)
            .answers::<ViableSteps>(StatusCode::OK, "By position")
            .fails(&[Code::TaskNotFound]),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Since {
    /// What ended in this time, such as `30m` or `1h`, which it is without this.
    #[param(pattern = "^[0-9]{1,4}(ms|s|m|h)$")]
    since: Option<String>,
    /// Only tasks of this namespace.
    namespace: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Slowest {
    /// What ended in this time, such as `1h` or `24h`, which it is without this.
    #[param(pattern = "^[0-9]{1,4}(ms|s|m|h)$")]
    since: Option<String>,
    /// Only of this namespace.
    namespace: Option<String>,
    /// Only of templates of this name.
    template: Option<String>,
    /// Only of this version of a template.
    version: Option<String>,
    /// At most so many; 10 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

async fn metrics(State(app): State<App>, Query(which): Query<Since>) -> Result<Answer<Analytics>, Problem> {
    named(&[("namespace", which.namespace.as_ref())])?;
    let now = app.now();
    let since = since(which.since.as_deref().unwrap_or(ANALYTICS_SINCE), now)?;
    let query = AnalyticsQuery { since, namespace: which.namespace, sample: SAMPLE };
    Ok(Answer::ok(app.store().analytics(&query, now).await?.into()))
}

impl Slowest {
    fn query(self, now: Timestamp) -> Result<SlowestQuery, Problem> {
        let names =
            [("namespace", &self.namespace), ("template", &self.template), ("version", &self.version)];
        named(&names.map(|(field, text)| (field, text.as_ref())))?;
        let limit = self.limit.unwrap_or(SLOWEST);
        if !(1..=SLOWEST_MAX).contains(&limit) {
            return Err(Problem::field("limit", format!("{limit} is not a number from 1 to {SLOWEST_MAX}")));
        }
        Ok(SlowestQuery {
            since: since(self.since.as_deref().unwrap_or(SLOWEST_SINCE), now)?,
            namespace: self.namespace,
            template: self.template,
            version: self.version,
            limit,
            sample: SAMPLE,
        })
    }
}

async fn slowest_tasks(
    State(app): State<App>,
    Query(which): Query<Slowest>,
) -> Result<Answer<SlowTaskList>, Problem> {
    let tasks = app.store().slowest_tasks(&which.query(app.now())?).await?;
    Ok(Answer::ok(SlowTaskList { tasks: tasks.into_iter().map(SlowTask::from).collect() }))
}

async fn slowest_steps(
    State(app): State<App>,
    Query(which): Query<Slowest>,
) -> Result<Answer<SlowStepList>, Problem> {
    Ok(Answer::ok(app.store().slowest_steps(&which.query(app.now())?).await?.into()))
}

async fn health(State(app): State<App>) -> Result<Answer<SystemHealth>, Problem> {
    Ok(Answer::ok(app.store().health(app.now()).await?.into()))
}

async fn execution(State(app): State<App>, At(id): At<Id>) -> Result<Answer<Execution>, Problem> {
    Ok(Answer::ok(context(&app, id).await?.into()))
}

async fn levels(State(app): State<App>, At(id): At<Id>) -> Result<Answer<Levels>, Problem> {
    let TaskContext { task, dependency_levels, .. } = context(&app, id).await?;
    Ok(Answer::ok(Levels { task: task.0, levels: dependency_levels }))
}

async fn viable(State(app): State<App>, At(id): At<Id>) -> Result<Answer<ViableSteps>, Problem> {
    let TaskContext { task, viable_steps, .. } = context(&app, id).await?;
    Ok(Answer::ok(ViableSteps { task: task.0, steps: viable_steps }))
}

async fn context(app: &Inner, id: Id) -> Result<TaskContext, Problem> {
    let task = id.task()?;
    task_context(app.store(), task, app.now()).await?.ok_or_else(|| crate::problem::no_task(task))
}

fn named(names: &[(&str, Option<&String>)]) -> Result<(), Problem> {
    names.iter().try_for_each(|(field, text)| text.map_or(Ok(()), |text| plain(field, text, NAME_BYTES_MAX)))
}
