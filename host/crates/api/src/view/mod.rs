//! What goes out, as the document describes it: values of their own, so that a change of a record is no change of the API.

mod attempt;
mod event;
mod fleet;
mod ledger;
mod pause;
mod performance;
mod plugin;
mod task;
mod webhook;
pub mod word;

use serde::{Deserialize, Serialize};
use stepwright_workflow::Payload;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};
use utoipa::{PartialSchema, ToSchema};

pub use attempt::*;
pub use event::*;
pub use fleet::*;
pub use ledger::*;
pub use pause::*;
pub use performance::*;
pub use plugin::*;
pub use task::*;
pub use webhook::*;

/// Any JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Payload);

impl PartialSchema for Json {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Any JSON value.")).into()
    }
}

impl ToSchema for Json {}

impl Json {
    /// A text that should be JSON; `None` if it is not.
    pub(crate) fn of_text(text: Option<String>) -> Option<Self> {
        Payload::parse(text?).ok().map(Self)
    }
}
