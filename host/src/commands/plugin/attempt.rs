//! One attempt without any server: a component in a sandbox of this process, and what the handler is told.

use std::time::Duration;

use stepwright_executor::{
    Control, Executor as _, LogLine, Outcome, ParentOutput, StepCall, StepReport, WasmExecutor,
};
use stepwright_workflow::{Digest, Payload, StepLimits, TaskId};

use crate::compose;
use crate::context::Context;
use crate::error::CliError;

/// What a template's steps have unless it says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// The same for failed attempts.
pub(super) const RETRY_LIMIT: u32 = 3;

/// What a handler is told about an attempt that belongs to no task.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) handler: String,
    pub(super) input: Payload,
    pub(super) config: Payload,
    pub(super) parents: Vec<ParentOutput>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) attempt: u32,
    pub(super) retry_limit: u32,
    pub(super) timeout: Duration,
}

/// A component that can be called.
pub(super) struct Bench {
    executor: WasmExecutor,
    digest: Digest,
}

impl Bench {
    /// Takes a component in, with room for so many calls at once. What was compiled before is not compiled again.
    pub(super) async fn start(component: Vec<u8>, slots: u32, context: &Context) -> Result<Self, CliError> {
        Self::of(compose::wasm_executor(context, slots)?, component).await
    }

    /// The same with an executor that is there already.
    pub(super) async fn of(executor: WasmExecutor, component: Vec<u8>) -> Result<Self, CliError> {
        let held = executor.hold(component).await;
        let digest =
            held.map_err(|failure| CliError::new(format!("this is no plugin: {}", failure.message)))?;
        Ok(Self { executor, digest })
    }

    /// Which component it is.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Calls the handler once in a fresh instance.
    pub(super) async fn call(&self, told: &Told) -> Result<StepReport, CliError> {
        let Told { handler, input, config, parents, tags, attempt, retry_limit, timeout } = told.clone();
        let call = StepCall {
            task: TaskId(1),
            step_name: handler.clone(),
            attempt,
            retry_limit,
            idempotency_key: format!("task/1/{handler}"),
            // No template, no registered plugin: nothing is granted.
            plugin: String::new(),
            plugin_version: String::new(),
            namespace: String::new(),
            digest: self.digest,
            handler,
            timeout,
            limits: StepLimits::default(),
            context: input,
            config,
            parents,
            tags,
        };
        Ok(self.executor.execute(call, Control::default()).await?)
    }
}

/// A line of a step's log, as people read it.
pub(super) fn line(LogLine { level, message, fields }: &LogLine) -> String {
    let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    format!("{level:<6} {message}{fields}")
}

/// How an attempt ended, in one line.
pub(super) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { output } => output.as_str().to_owned(),
        Outcome::Failed { error } => error.to_string(),
    }
}
