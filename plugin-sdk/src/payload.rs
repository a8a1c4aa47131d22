//! JSON in and out: what a handler may take and return, and how a text that does not fit is reported.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::context::Context;
use crate::error::{StepError, StepResult, permanent};
use crate::handler::ParentSchema;

/// Any JSON, as text: an output that is ready-made, or an input that is only handed on.
///
/// Nothing checks an output given this way before the host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJson(pub String);

impl JsonSchema for RawJson {
    fn schema_name() -> Cow<'static, str> {
        "RawJson".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// What a handler may take: anything that deserialises and has a schema, or [`RawJson`].
pub trait StepInput: Sized {
    /// Reads the task context.
    fn read(context: &Context) -> StepResult<Self>;
    /// What the task context must look like.
    fn schema() -> Option<String>;
}

impl<T: DeserializeOwned + JsonSchema> StepInput for T {
    fn read(context: &Context) -> StepResult<Self> {
        context.task_context()
    }

    fn schema() -> Option<String> {
        schema_of::<T>(SchemaSettings::draft2020_12())
    }
}

impl StepInput for RawJson {
    fn read(context: &Context) -> StepResult<Self> {
        Ok(Self(context.task_context_raw().to_owned()))
    }

    fn schema() -> Option<String> {
        None
    }
}

/// What a handler may give: anything that serialises and has a schema, or [`RawJson`].
pub trait StepOutput {
    /// The output as JSON.
    fn write(self) -> StepResult<String>;
    /// What the output looks like.
    fn schema() -> Option<String>;
}

impl<T: Serialize + JsonSchema> StepOutput for T {
    fn write(self) -> StepResult<String> {
        serde_json::to_string(&self)
            .map_err(|error| permanent(format!("the output is no JSON: {error}")).code("invalid_output"))
    }

    fn schema() -> Option<String> {
        schema_of::<T>(SchemaSettings::draft2020_12().for_serialize())
    }
}

impl StepOutput for RawJson {
    fn write(self) -> StepResult<String> {
        Ok(self.0)
    }

    fn schema() -> Option<String> {
        None
    }
}

/// What a handler's signature may return: a `Result` whose error converts into [`StepError`].
pub trait StepReturn {
    /// What the step gives to the steps after it.
    type Output;
    /// The same with the SDK's own error.
    fn into_step_result(self) -> StepResult<Self::Output>;
}

impl<T, E: Into<StepError>> StepReturn for Result<T, E> {
    type Output = T;

    fn into_step_result(self) -> StepResult<T> {
        self.map_err(Into::into)
    }
}

/// Turns what the handler returned into what the host gets.
pub fn finish<R: StepReturn<Output: StepOutput>>(returned: R) -> StepResult<String> {
    returned.into_step_result()?.write()
}

/// The schema of what a handler with this return type gives.
pub fn output_schema<R: StepReturn<Output: StepOutput>>() -> Option<String> {
    R::Output::schema()
}

/// The schema of a step's configuration.
pub fn config_schema<T: DeserializeOwned + JsonSchema>() -> Option<String> {
    schema_of::<T>(SchemaSettings::draft2020_12())
}

/// What a handler reads of a direct parent.
pub fn parent<T: DeserializeOwned + JsonSchema>(step: &'static str, optional: bool) -> ParentSchema {
    ParentSchema { step, optional, schema: schema_of::<T>(SchemaSettings::draft2020_12()) }
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Option<String> {
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_string(&schema).ok()
}

/// Why a payload cannot be read.
pub(crate) struct Unreadable {
    /// The path of the value at fault; `.` is the whole payload.
    at: String,
    why: String,
}

impl Unreadable {
    /// The permanent failure that says so: `subject` completes "… cannot be read".
    pub(crate) fn into_error(self, subject: &str, code: &str) -> StepError {
        let Self { at, why } = self;
        let place = if at == "." { String::new() } else { format!(" at `{at}`") };
        permanent(format!("{subject} cannot be read{place}: {why}"))
            .code(code)
            .details(json!({ "at": at, "why": why }))
    }
}

/// Reads a payload and says where it went wrong if it does not fit.
pub(crate) fn decode<T: DeserializeOwned>(json: &str) -> Result<T, Unreadable> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Unreadable { at: error.path().to_string(), why: without_position(error.inner()) })
}

/// The error's text. The position is cut off: the text that it counts in is nothing an author has seen.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
