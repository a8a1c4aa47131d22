//! Problems (RFC 9457): what a request is answered with that was not done.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stepwright_orchestrator::HandleError;
use stepwright_orchestrator::catalog::CatalogError;
use stepwright_orchestrator::operator::OperatorError;
use stepwright_orchestrator::plugins::PluginError;
use stepwright_store::StoreError;
use utoipa::ToSchema;

use crate::code::Code;

/// The content type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to come again after a database was busy, or an orchestrator stopped: another is there within seconds.
const AGAIN_S: u64 = 2;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The page of the code, relative to the API.
    #[serde(rename = "type")]
    pub kind: String,
    /// A few words that are the same for each problem of the code.
    pub title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// For programs.
    pub code: Code,
    /// What is wrong this time, and what would be right.
    pub detail: String,
    /// Each single thing that is wrong, where there are several or it has a place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    #[serde(skip)]
    again_s: Option<u64>,
}

/// One thing that is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is: `context.order_id`, `tasks[3].context`, or `line 3, column 5`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Problem {
    /// A problem with what is wrong this time.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: code.url(),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            again_s: (code == Code::Unavailable).then_some(AGAIN_S),
        }
    }

    /// The same with each single thing.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The same with a time after which it may be tried again.
    #[must_use]
    pub fn again_in(mut self, seconds: u64) -> Self {
        self.again_s = Some(seconds);
        self
    }

    /// One value of a request that is not right.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(Code::InvalidRequest, format!("{field}: {message}"))
            .with_errors(vec![FieldError::new(field, message)])
    }

    /// The same about the template of a task that is one of several: `place` is `tasks[3].`, or empty for the only one.
    pub(crate) fn within(mut self, place: &str) -> Self {
        if !place.is_empty() && self.code != Code::Internal {
            self.detail = format!("{place}template: {}", self.detail);
            let about = self.errors.iter_mut().filter(|error| error.field == "template");
            about.for_each(|error| error.field.insert_str(0, place));
        }
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, again, code) = (self.code.status(), self.again_s, self.code);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        if let Some(again) = again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(again));
        }
        if code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"stepwright\""));
        }
        response
    }
}

/// What is written to the log and not to a stranger.
pub(crate) fn internal(error: &dyn std::error::Error) -> Problem {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    tracing::error!(error = text, "a request failed");
    Problem::new(Code::Internal, "the host's log says why, beside the id of this request")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            passing if passing.is_passing() => Self::new(Code::Unavailable, passing.to_string()),
            StoreError::Conflict { .. } | StoreError::Exists { .. } => {
                Self::new(Code::AlreadyExists, error.to_string())
            }
            other => internal(other),
        }
    }
}

impl From<HandleError> for Problem {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Stopped => Self::new(Code::Unavailable, "the process is stopping"),
            HandleError::NoTask(task) => no_task(task),
            HandleError::Store(error) => error.into(),
            HandleError::NotCreated(_) => internal(&error),
        }
    }
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::NoTask(task) => no_task(task),
            OperatorError::NoStep { .. } => Self::new(Code::StepNotFound, error.to_string()),
            OperatorError::Store(error) => error.into(),
            OperatorError::NothingToRetry(_)
            | OperatorError::IllegalStep { .. }
            | OperatorError::Final { .. }
            | OperatorError::Raced(_) => Self::new(Code::Conflict, error.to_string()),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Template(found) => template("the template has mistakes", found.problems()),
            CatalogError::Resolve(found) => {
                template("the template does not fit the registered plugins", found.problems())
            }
            CatalogError::NoTemplate { .. } => Self::new(Code::TemplateNotFound, error.to_string()),
            CatalogError::Ambiguous { .. } => Self::field("template", error.to_string()),
            CatalogError::Store(error) => error.into(),
        }
    }
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Unknown { .. } => Self::new(Code::PluginNotFound, error.to_string()),
            PluginError::Quarantined(_) | PluginError::NoWayBack { .. } => {
                Self::new(Code::Conflict, error.to_string())
            }
            PluginError::Catalog(error) => error.into(),
            PluginError::Store(error) => error.into(),
            PluginError::Blobs(error) => internal(&error),
        }
    }
}

/// There is no such task.
pub(crate) fn no_task(task: impl std::fmt::Display) -> Problem {
    Problem::new(Code::TaskNotFound, format!("there is no task {task}"))
}

fn template(what: &str, found: &[stepwright_workflow::template::Problem]) -> Problem {
    let error = |problem: &stepwright_workflow::template::Problem| {
        let place = format!("line {}, column {}", problem.line, problem.column);
        let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
        let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        FieldError::new(place, format!("{field}{}{help}", problem.problem))
    };
    Problem::new(Code::InvalidTemplate, what).with_errors(found.iter().map(error).collect())
}
