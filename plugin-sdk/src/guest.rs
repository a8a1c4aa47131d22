//! The component's side: the bindings, the host behind the imports, and the two exports for every plugin.

use std::rc::Rc;

use serde_json::Value;

use crate::context::{Context, Facts};
use crate::error::{FailureClass, StepError};
use crate::handler::{HandlerEntry, ParentSchema, PluginDefinition, Wishes, dispatch};
use crate::host::Host;
use crate::log::Level;

use bindings::exports::stepwright::step::handler as exported;
use bindings::stepwright::step::{host, log, types};

/// Generated from the WIT.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit/step-0.1.0",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "::stepwright_sdk::__bindings",
    });
}

impl<P: PluginDefinition> exported::Guest for P {
    fn describe() -> exported::Description {
        exported::Description {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            summary: P::SUMMARY.to_owned(),
            handlers: P::HANDLERS.iter().map(describe).collect(),
            wishes: wishes(&P::WISHES),
        }
    }

    fn handle(name: String, context: exported::StepContext) -> Result<String, exported::StepError> {
        let context = Context::new(facts(context), Rc::new(Imports));
        dispatch(P::HANDLERS, &name, &context).map_err(failure)
    }
}

fn describe(handler: &HandlerEntry) -> types::HandlerDescription {
    let schemas = (handler.schemas)();
    types::HandlerDescription {
        name: handler.name.to_owned(),
        summary: handler.summary.to_owned(),
        input_schema: schemas.input,
        config_schema: schemas.config,
        output_schema: schemas.output,
        parents: schemas.parents.into_iter().map(parent).collect(),
    }
}

fn parent(parent: ParentSchema) -> types::ParentDescription {
    let ParentSchema { step, optional, schema } = parent;
    types::ParentDescription { step: step.to_owned(), optional, schema }
}

fn wishes(wishes: &Wishes) -> types::Wishes {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    types::Wishes {
        hosts: owned(wishes.hosts),
        directories: owned(wishes.directories),
        environment: owned(wishes.environment),
        secrets: owned(wishes.secrets),
    }
}

fn facts(context: exported::StepContext) -> Facts {
    Facts {
        task_id: context.task_id,
        step_name: context.step_name,
        attempt: context.attempt,
        retry_limit: context.retry_limit,
        idempotency_key: context.idempotency_key,
        deadline_ms: context.deadline_ms,
        task_context: context.task_context,
        config: context.config,
        parents: context.parents.into_iter().map(|parent| (parent.step, parent.output)).collect(),
        tags: context.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    }
}

fn failure(error: StepError) -> exported::StepError {
    let StepError { class, message, code, details, retry_after } = error;
    let details = details.map(|details: Value| details.to_string());
    match class {
        FailureClass::Permanent => {
            exported::StepError::Permanent(types::PermanentError { message, code, details })
        }
        FailureClass::Retryable => {
            let retry_after_ms =
                retry_after.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            exported::StepError::Retryable(types::RetryableError { message, code, details, retry_after_ms })
        }
    }
}

/// The host behind the component's imports.
struct Imports;

impl Host for Imports {
    fn log(&self, level: Level, message: &str, fields: &[(&str, String)]) {
        let level = match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        let fields: Vec<log::Field> = fields
            .iter()
            .map(|(key, value)| log::Field { key: (*key).to_owned(), value: value.clone() })
            .collect();
        log::write(level, message, &fields);
    }

    fn progress(&self, fraction: f64, note: &str) {
        host::progress(fraction, note);
    }

    fn cancelled(&self) -> bool {
        host::cancelled()
    }

    fn secret(&self, name: &str) -> Option<String> {
        host::secret(name)
    }
}
