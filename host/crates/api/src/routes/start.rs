//! Tasks are started: one, or many at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use stepwright_orchestrator::catalog::{Prepared, TaskRequest};
use stepwright_orchestrator::request::{Desk, InputProblem, delay, key_is_good, moment, tag_is_good};
use stepwright_store::{Created, NewTask, TokenScope};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Payload, Timestamp};
use utoipa::ToSchema;

use super::NAME_BYTES_MAX;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, plain};
use crate::problem::{FieldError, Problem};
use crate::route::Route;
use crate::view::{Json, StartedOne, StartedTask, StartedTasks};

/// Tasks of one request: they are created in one transaction, which no other writer should wait for longer than a second or two.
const TASKS_MAX: usize = 10_000;
/// Mistakes that are listed; after them a program has seen what it does wrong.
const ERRORS_MAX: usize = 100;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 256;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/tasks", start)
            .named("tasks", "start_task", "Start a task")
            .described(
                "With an idempotency key, in the body or as a header, starting again returns the first task. \
                 The key is unique within the template's namespace and name.",
            )
            .needs(TokenScope::Run)
            .header(IDEMPOTENCY_KEY, "The same as the field idempotency_key.", KEY_BYTES_MAX)
            .body::<StartTask>()
            .answers::<StartedTask>(StatusCode::CREATED, "It is new")
            .answers::<StartedTask>(StatusCode::OK, "It was started before with the same idempotency key")
            .fails(&[Code::TemplateNotFound, Code::InvalidTemplate, Code::InvalidContext]),
        Route::post("/v1/tasks/bulk", start_many)
            .named("tasks", "start_tasks", "Start many tasks: all or none")
            .needs(TokenScope::Run)
            .body::<StartTasks>()
            .answers::<StartedTasks>(StatusCode::OK, "They, in the order of the request")
            .fails(&[Code::TemplateNotFound, Code::InvalidTemplate, Code::InvalidContext]),
    ]
}

/// A task to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartTask {
    /// The template: `namespace/name` or `name`, with `@version` or else the one registered last.
    #[schema(min_length = 1, max_length = 400)]
    template: String,
    /// What it is started with; without it an empty object.
    #[serde(default)]
    #[schema(value_type = Json, required = false)]
    context: Option<Json>,
    /// Starting again with the same key returns the first task.
    #[schema(min_length = 1, max_length = 256)]
    idempotency_key: Option<String>,
    /// Labels.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Higher is claimed first.
    #[serde(default)]
    priority: i32,
    /// Nothing of it begins before this moment, as RFC 3339.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// Nothing of it begins before so long, such as `30s`, `5m` or `1h`.
    #[serde(rename = "in")]
    #[schema(pattern = "^[0-9]{1,6}(ms|s|m|h|d)$")]
    delay: Option<String>,
}

/// Tasks to start together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartTasks {
    /// They.
    #[schema(min_items = 1, max_items = 10_000)]
    tasks: Vec<StartTask>,
}

async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Answer<StartedTask>, Problem> {
    let mut wanted: StartTask = app.json(request, app.options().body_bytes_max).await?;
    wanted.idempotency_key = key(&headers, wanted.idempotency_key)?;
    let mut desk = Tray { app: &app, prepared: HashMap::new(), now: app.now() };
    let reference = wanted.template.clone();
    let (task, errors) = desk.task("", wanted).await?;
    if !errors.is_empty() {
        return Err(refused("the task cannot be started", errors));
    }
    let Some(task) = task else { return Err(refused("the task cannot be started", errors)) };
    let Created { task, existing } = app.start(task).await?;
    if existing {
        return Ok(Answer::ok(found(&app, task).await?));
    }
    let prepared = desk.prepared(&reference).await?;
    let state = |position: u16| match prepared.plan.step(position) {
        Some(step) if step.parents.is_empty() => StepState::Ready,
        _ => StepState::Pending,
    };
    Ok(Answer::made(true, StartedTask::of((task, true), &prepared.plan, TaskState::Pending, state)))
}

/// A task that had been started before, as it is now.
async fn found(app: &Inner, id: stepwright_workflow::TaskId) -> Result<StartedTask, Problem> {
    let record = app.task(id).await?;
    let plan = app.store().plan(record.summary.plan).await?.ok_or_else(|| {
        stepwright_store::StoreError::Inconsistent(format!("the plan of task {id} is not stored"))
    })?;
    let steps = &record.steps_detail;
    let state =
        |position: u16| steps.get(usize::from(position)).map_or(StepState::Pending, |step| step.state);
    Ok(StartedTask::of((id, false), &plan, record.summary.state, state))
}

async fn start_many(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Answer<StartedTasks>, Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(Problem::field(IDEMPOTENCY_KEY, "give each task an idempotency_key of its own"));
    }
    let wanted: StartTasks = app.json(request, app.options().bulk_bytes_max).await?;
    if !(1..=TASKS_MAX).contains(&wanted.tasks.len()) {
        let message = format!("{} tasks; 1 to {TASKS_MAX} can be started at once", wanted.tasks.len());
        return Err(Problem::field("tasks", message));
    }
    let mut desk = Tray { app: &app, prepared: HashMap::new(), now: app.now() };
    let (mut tasks, mut errors) = (Vec::with_capacity(wanted.tasks.len()), Vec::new());
    for (position, one) in wanted.tasks.into_iter().enumerate() {
        let (task, found) = desk.task(&format!("tasks[{position}]."), one).await?;
        tasks.extend(task);
        errors.extend(found);
        if errors.len() >= ERRORS_MAX {
            break;
        }
    }
    if !errors.is_empty() {
        errors.truncate(ERRORS_MAX);
        return Err(refused("nothing was started", errors));
    }
    let created = app.start_all(tasks).await?;
    let one = |Created { task, existing }: Created| StartedOne { id: task.0, created: !existing };
    Ok(Answer::ok(StartedTasks { tasks: created.into_iter().map(one).collect() }))
}

/// The key of the header and that of the body are the same thing said twice.
fn key(headers: &HeaderMap, of_body: Option<String>) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = all.next() else { return Ok(of_body) };
    let of_header = first
        .to_str()
        .ok()
        .filter(|key| all.next().is_none() && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let of_header = of_header
        .ok_or_else(|| Problem::field(IDEMPOTENCY_KEY, "send it once, in visible ASCII characters"))?;
    match of_body {
        Some(of_body) if of_body != of_header => Err(Problem::field(
            IDEMPOTENCY_KEY,
            format!("'{of_header}' stands in the header and '{of_body}' in the body; send one of them"),
        )),
        _ => key_is_good(of_header)
            .map(|()| Some(of_header.to_owned()))
            .map_err(|why| Problem::field(IDEMPOTENCY_KEY, why)),
    }
}

fn refused(what: &str, errors: Vec<FieldError>) -> Problem {
    let detail = match errors.as_slice() {
        [one] => format!("{what}: {}: {}", one.field, one.message),
        several => format!("{what}: {} values are wrong", several.len()),
    };
    Problem::new(Code::InvalidContext, detail).with_errors(errors)
}

/// Checks requests against templates, each of which is prepared once.
struct Tray<'a> {
    app: &'a Inner,
    prepared: HashMap<String, Arc<Prepared>>,
    now: Timestamp,
}

impl Tray<'_> {
    /// The template of this name, ready to be started.
    async fn prepared(&mut self, reference: &str) -> Result<Arc<Prepared>, Problem> {
        if let Some(prepared) = self.prepared.get(reference) {
            return Ok(prepared.clone());
        }
        let prepared = self.app.templates.get(self.app.store(), reference).await?;
        self.prepared.insert(reference.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// The task that a request makes, or everything that is wrong with its values.
    async fn task(
        &mut self,
        place: &str,
        wanted: StartTask,
    ) -> Result<(Option<NewTask>, Vec<FieldError>), Problem> {
        plain(&format!("{place}template"), &wanted.template, NAME_BYTES_MAX)?;
        let (start_at, mut errors) = (start_at(place, &wanted, self.now)?, labels(place, &wanted));
        let context = match wanted.context {
            Some(Json(context)) => Payload::parse(context.as_str()),
            None => Payload::parse("{}"),
        };
        let context = match context {
            Ok(context) => context,
            Err(error) => {
                errors.push(FieldError::new(format!("{place}context"), error.to_string()));
                return Ok((None, errors));
            }
        };
        let payload_bytes_max = self.app.options().payload_bytes_max;
        let request = TaskRequest {
            context,
            tags: wanted.tags.into_iter().collect(),
            priority: wanted.priority,
            idempotency_key: wanted.idempotency_key,
            start_at,
        };
        let prepared = self.prepared(&wanted.template).await.map_err(|problem| problem.within(place))?;
        if !errors.is_empty() {
            return Ok((None, errors));
        }
        Ok(match (Desk { prepared: &prepared, payload_bytes_max }).task(None, request) {
            Ok(task) => (Some(task), errors),
            Err(found) => (None, found.iter().map(|problem| in_context(place, problem)).collect()),
        })
    }
}

fn start_at(place: &str, wanted: &StartTask, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let at = |field: &str| format!("{place}{field}");
    match (&wanted.at, &wanted.delay) {
        (Some(_), Some(_)) => Err(Problem::field(&at("at"), "'at' and 'in' exclude each other")),
        (Some(text), None) => moment(text).map(Some).map_err(|why| Problem::field(&at("at"), why)),
        (None, Some(text)) => {
            let delay = delay(text).map_err(|why| Problem::field(&at("in"), why))?;
            Ok(Some(now.after(delay)))
        }
        (None, None) => Ok(None),
    }
}

fn labels(place: &str, wanted: &StartTask) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, value) in &wanted.tags {
        if let Err(why) = tag_is_good(name, value) {
            errors.push(FieldError::new(format!("{place}tags.{name}"), why));
        }
    }
    if let Some(Err(why)) = wanted.idempotency_key.as_deref().map(key_is_good) {
        errors.push(FieldError::new(format!("{place}idempotency_key"), why));
    }
    errors
}

/// A JSON pointer as the field of a request: `/items/0/id` is `context.items[0].id`.
fn in_context(place: &str, problem: &InputProblem) -> FieldError {
    let mut field = format!("{place}context");
    for part in problem.pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            field.push_str(&format!("[{part}]"));
        } else {
            field.push_str(&format!(".{part}"));
        }
    }
    FieldError::new(field, problem.problem.clone())
}
