//! What a stream of events and a webhook tell. The words are the feed's; this is what the document says of them.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// One event: the data of a stream's message, and the body of a webhook. What does not belong to its name is left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Where it stands among all events. A stream goes on behind it with `after`.
    #[schema(pattern = "^[0-9]+-[0-9]+$")]
    pub position: String,
    /// What it tells.
    pub event: EventName,
    /// When.
    pub at: i64,
    /// The task, if it is about one.
    #[schema(required = false)]
    pub task: i64,
    /// The namespace of its template.
    #[schema(required = false)]
    pub namespace: String,
    /// The name of its template.
    #[schema(required = false)]
    pub template: String,
    /// The version of its template.
    #[schema(required = false)]
    pub version: String,
    /// The name of the step, if it is about one; missing if the task was removed since.
    #[schema(required = false)]
    pub step: String,
    /// Which attempt, counted from 1.
    #[schema(required = false)]
    pub attempt: u32,
    /// The batch.
    #[schema(required = false)]
    pub batch: i64,
    /// The worker.
    #[schema(required = false)]
    pub worker: i64,
    /// `step.progress`: how much is done, from 0 to 1.
    #[schema(required = false)]
    pub fraction: f64,
    /// `step.progress`: how far it is, in the handler's words.
    #[schema(required = false)]
    pub note: String,
    /// `step.failed`: the class of the failure.
    #[schema(required = false)]
    pub class: String,
    /// `step.failed`: the handler's own code.
    #[schema(required = false)]
    pub code: String,
    /// `step.failed`: why; at most 300 characters of it.
    #[schema(required = false)]
    pub message: String,
    /// `step.failed`: whether the step is tried again by itself.
    #[schema(required = false)]
    pub retries: bool,
    /// `step.retry_scheduled`: from when it may be claimed again; at once without this.
    #[schema(required = false)]
    pub retry_at: i64,
    /// `batch.published`: how many steps it has.
    #[schema(required = false)]
    pub steps: u64,
    /// `batch.reconciled`: whether its completion differed from a partial result.
    #[schema(required = false)]
    pub discrepancy: bool,
    /// `batch.discrepancy`: what differed; at most 300 characters of it.
    #[schema(required = false)]
    pub detail: String,
    /// `worker.joined`: the name of the worker. `pause.begun` and `pause.ended`: the name of what is paused.
    #[schema(required = false)]
    pub name: String,
    /// `pause.begun` and `pause.ended`: what is paused: `task`, `template`, `namespace`, `plugin` or `digest`.
    #[schema(required = false)]
    pub scope: String,
    /// `plugin.…`: `namespace/name@version`.
    #[schema(required = false)]
    pub plugin: String,
    /// `plugin.registered`: the component.
    #[schema(required = false)]
    pub digest: String,
}

/// The name of an event.
#[derive(Debug, Serialize)]
pub struct EventName(pub stepwright_orchestrator::feed::EventName);

impl PartialSchema for EventName {
    fn schema() -> RefOr<Schema> {
        let names = stepwright_orchestrator::feed::EventName::ALL.iter().map(|(name, _)| name.as_str());
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for EventName {}
