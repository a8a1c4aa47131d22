//! All that a handler is told about its attempt, and its way to the host.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::error::{StepResult, permanent, retryable};
use crate::host::{Host, Secret};
use crate::log::Level;
use crate::payload::decode;

/// What the host says about an attempt. Payloads are JSON texts, read when a handler asks for them.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) task_id: String,
    pub(crate) step_name: String,
    pub(crate) attempt: u32,
    pub(crate) retry_limit: u32,
    pub(crate) idempotency_key: String,
    pub(crate) deadline_ms: u64,
    pub(crate) task_context: String,
    pub(crate) config: String,
    pub(crate) parents: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
}

/// The attempt that a handler runs in.
pub struct Context {
    facts: Facts,
    host: Rc<dyn Host>,
}

impl Context {
    pub(crate) fn new(facts: Facts, host: Rc<dyn Host>) -> Self {
        Self { facts, host }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn host(&self) -> &dyn Host {
        self.host.as_ref()
    }

    /// The task's number, as people see it.
    pub fn task_id(&self) -> &str {
        &self.facts.task_id
    }

    /// The step's name in the template.
    pub fn step_name(&self) -> &str {
        &self.facts.step_name
    }

    /// Which try this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// Failed attempts allowed in all.
    pub fn retry_limit(&self) -> u32 {
        self.facts.retry_limit
    }

    /// Whether a failure of this attempt is the step's last. (Attempts that were lost with their worker do
    /// not count as failed, so another attempt may still follow.)
    pub fn is_last_attempt(&self) -> bool {
        self.facts.attempt >= self.facts.retry_limit
    }

    /// The same for every attempt of this step: hand it to whatever must not happen twice.
    pub fn idempotency_key(&self) -> &str {
        &self.facts.idempotency_key
    }

    /// When the attempt will be ended.
    pub fn deadline(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.facts.deadline_ms)
    }

    /// What the task was started with. A handler's input argument is the same.
    ///
    /// What does not fit `T` is a permanent failure with code `invalid_input` that names the value at fault.
    pub fn task_context<T: DeserializeOwned>(&self) -> StepResult<T> {
        decode(&self.facts.task_context)
            .map_err(|error| error.into_error("the task context", "invalid_input"))
    }

    /// What the task was started with, as JSON text.
    pub fn task_context_raw(&self) -> &str {
        &self.facts.task_context
    }

    /// The step's configuration from the template. A step without one reads as `{}`, or as `null` where `T` takes that.
    ///
    /// What does not fit `T` is a permanent failure with code `invalid_config` that names the field.
    pub fn config<T: DeserializeOwned>(&self) -> StepResult<T> {
        let config = self.facts.config.as_str();
        let read = match decode(config) {
            Err(_) if config == "null" => decode("{}"),
            read => read,
        };
        read.map_err(|error| error.into_error("the step's config", "invalid_config"))
    }

    /// The step's configuration as JSON text, `null` if it has none.
    pub fn config_raw(&self) -> &str {
        &self.facts.config
    }

    /// The output of the direct parent called `step`.
    ///
    /// A parent that is not there is a permanent failure with code `unknown_parent` that lists those there
    /// are; an output that does not fit `T` one with code `invalid_parent_output`. A skipped parent gives
    /// `null`: read it as an `Option`.
    pub fn parent<T: DeserializeOwned>(&self, step: &str) -> StepResult<T> {
        match self.parents().find(|parent| parent.step() == step) {
            Some(parent) => parent.output(),
            None => Err(permanent(self.no_such_parent(step)).code("unknown_parent")),
        }
    }

    /// The output of a direct parent that may be missing, or skipped: `None` then.
    ///
    /// An output that does not fit `T` is a permanent failure with code `invalid_parent_output`.
    pub fn optional_parent<T: DeserializeOwned>(&self, step: &str) -> StepResult<Option<T>> {
        self.parents().find(|parent| parent.step() == step).map_or(Ok(None), |parent| parent.output())
    }

    fn no_such_parent(&self, step: &str) -> String {
        let known: Vec<&str> = self.parents().map(|parent| parent.step()).collect();
        if known.is_empty() {
            return format!("step `{}` has no parent `{step}`, nor any other", self.step_name());
        }
        format!(
            "step `{}` has no parent `{step}`: its parents are `{}`",
            self.step_name(),
            known.join("`, `")
        )
    }

    /// The output of the direct parent called `step` as JSON text, if there is such a parent.
    pub fn parent_raw(&self, step: &str) -> Option<&str> {
        self.parents().find(|parent| parent.step() == step).map(|parent| parent.raw())
    }

    /// The outputs of the direct parents, in the template's order.
    pub fn parents(&self) -> impl ExactSizeIterator<Item = Parent<'_>> {
        self.facts.parents.iter().map(|(step, output)| Parent { step, output })
    }

    /// The task's labels.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.facts.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of one of the task's labels.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags().find(|(candidate, _)| *candidate == key).map(|(_, value)| value)
    }

    /// Writes a line to the step's log. The macros [`info!`](crate::info) and its like are shorter.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, String)]) {
        self.host.log(level, message, fields);
    }

    /// Says how far the step is: `fraction` from 0 to 1, and a note for people. It is also the sign of life
    /// of a step that runs long.
    pub fn progress(&self, fraction: f64, note: &str) {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        self.host.progress(fraction, note);
    }

    /// Whether the attempt was told to stop. A handler that runs long asks now and then and returns early.
    pub fn cancelled(&self) -> bool {
        self.host.cancelled()
    }

    /// Fails with code `cancelled` if the attempt was told to stop: `ctx.stop_if_cancelled()?` in a loop.
    pub fn stop_if_cancelled(&self) -> StepResult<()> {
        if self.cancelled() {
            return Err(retryable("the attempt was told to stop").code("cancelled"));
        }
        Ok(())
    }

    /// The value of a granted secret.
    ///
    /// One that is not granted is a permanent failure with code `secret_not_granted`; `.ok()` makes it optional.
    pub fn secret(&self, name: &str) -> StepResult<Secret> {
        let secret = self.host.secret(name).map(Secret);
        secret.ok_or_else(|| permanent(format!("secret `{name}` is not granted")).code("secret_not_granted"))
    }
}

/// The output of one direct parent.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    step: &'a str,
    output: &'a str,
}

impl<'a> Parent<'a> {
    /// The parent's step name.
    pub fn step(&self) -> &'a str {
        self.step
    }

    /// Its output. What does not fit `T` is a permanent failure with code `invalid_parent_output`.
    pub fn output<T: DeserializeOwned>(&self) -> StepResult<T> {
        decode(self.output).map_err(|error| {
            let subject = format!("the output of parent `{}`", self.step);
            error.into_error(&subject, "invalid_parent_output")
        })
    }

    /// Its output as JSON text.
    pub fn raw(&self) -> &'a str {
        self.output
    }
}
