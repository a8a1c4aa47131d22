//! Native unit tests of handlers: a context made by hand, and a host that writes down what it was told.
//!
//! ```
//! use stepwright_sdk::prelude::*;
//! use stepwright_sdk::testing::TestContext;
//!
//! /// Doubles what its parent gave.
//! #[handler]
//! fn double(ctx: &Context) -> StepResult<u64> {
//!     ctx.progress(0.5, "half way");
//!     Ok(2 * ctx.parent::<u64>("start")?)
//! }
//!
//! let test = TestContext::new().parent("start", &21).attempt(2);
//! assert_eq!(double(test.context())?, 42);
//! assert_eq!(test.progress()[0].note, "half way");
//! # Ok::<(), StepError>(())
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::context::{Context, Facts};
use crate::error::StepResult;
use crate::handler::{PluginDefinition, dispatch};
use crate::host::Host;
use crate::http::{Problem, Response, Sent};
use crate::log::Level;
use crate::payload::{StepReturn, decode};

/// A line that a handler logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
}

/// A progress mark that a handler set.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressMark {
    /// From 0 to 1.
    pub fraction: f64,
    /// For people.
    pub note: String,
}

/// What a service answers in a test.
#[derive(Debug, Clone)]
pub struct Answer(Result<Response, Problem>);

impl Answer {
    /// An answer with this status and an empty body.
    pub fn status(status: u16) -> Self {
        Self(Ok(Response { request: String::new(), status, headers: Vec::new(), body: Vec::new() }))
    }

    /// No answer at all: the service cannot be reached.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Self(Err(Problem::Connection(why.into())))
    }

    /// Adds a line to its header.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let line = (name.into().to_ascii_lowercase(), value.into());
        self.with(|response| response.headers.push(line))
    }

    /// Sets its body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.with(|response| response.body = body)
    }

    /// Sets its body to a value as JSON, with its content type.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        self.header("content-type", "application/json").body(to_json(body))
    }

    fn with(mut self, change: impl FnOnce(&mut Response)) -> Self {
        if let Ok(response) = &mut self.0 {
            change(response);
        }
        self
    }
}

/// An attempt for a test: the first of three of step `test_step`, ending at 2026-01-01T00:00:30Z, unless told otherwise.
pub struct TestContext {
    context: Context,
    recorder: Rc<Recorder>,
}

impl Default for TestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl TestContext {
    /// An attempt with no task context, no config, no parents, no tags and no secrets.
    pub fn new() -> Self {
        let recorder = Rc::new(Recorder::default());
        let facts = Facts {
            task_id: "1".to_owned(),
            step_name: "test_step".to_owned(),
            attempt: 1,
            retry_limit: 3,
            idempotency_key: "task-1-test_step".to_owned(),
            deadline_ms: 1_767_225_630_000,
            task_context: "null".to_owned(),
            config: "null".to_owned(),
            parents: Vec::new(),
            tags: Vec::new(),
        };
        Self { context: Context::new(facts, recorder.clone()), recorder }
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(self.context.facts_mut());
        self
    }

    /// Sets the task's number.
    #[must_use]
    pub fn task_id(self, task_id: impl Into<String>) -> Self {
        self.with(|facts| facts.task_id = task_id.into())
    }

    /// Sets the step's name.
    #[must_use]
    pub fn step_name(self, step_name: impl Into<String>) -> Self {
        self.with(|facts| facts.step_name = step_name.into())
    }

    /// Sets which try this is, counted from 1.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        self.with(|facts| facts.attempt = attempt)
    }

    /// Sets how many failed attempts are allowed in all.
    #[must_use]
    pub fn retry_limit(self, retry_limit: u32) -> Self {
        self.with(|facts| facts.retry_limit = retry_limit)
    }

    /// Sets the key that is the same for every attempt.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.with(|facts| facts.idempotency_key = key.into())
    }

    /// Sets when the attempt will be ended. A time before 1970 counts as 1970.
    #[must_use]
    pub fn deadline(self, deadline: SystemTime) -> Self {
        let since = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.with(|facts| facts.deadline_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Sets what the task was started with, for a handler that takes no input argument.
    #[must_use]
    pub fn task_context(self, task_context: impl Serialize) -> Self {
        self.with(|facts| facts.task_context = to_json(&task_context))
    }

    /// Sets the step's configuration.
    #[must_use]
    pub fn config(self, config: impl Serialize) -> Self {
        self.with(|facts| facts.config = to_json(&config))
    }

    /// Adds the output of a direct parent.
    #[must_use]
    pub fn parent(self, step: impl Into<String>, output: &impl Serialize) -> Self {
        self.with(|facts| facts.parents.push((step.into(), to_json(output))))
    }

    /// Adds a label of the task.
    #[must_use]
    pub fn tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|facts| facts.tags.push((key.into(), value.into())))
    }

    /// Grants a secret.
    #[must_use]
    pub fn secret(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.recorder.secrets.borrow_mut().push((name.into(), value.into()));
        self
    }

    /// Answers one call, written as `METHOD https://host/path`. Answers to the same call are given in this order; a call without
    /// an answer is denied, as one without a grant would be.
    #[must_use]
    pub fn answer(self, call: impl Into<String>, answer: Answer) -> Self {
        self.recorder.answers.borrow_mut().push((call.into(), answer));
        self
    }

    /// Tells the attempt to stop.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.recorder.cancelled.set(true);
        self
    }

    /// The context, to call a handler with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs a handler function on an input.
    pub fn run<I, R: StepReturn>(
        &self,
        handler: impl FnOnce(I, &Context) -> R,
        input: I,
    ) -> StepResult<R::Output> {
        handler(input, &self.context).into_step_result()
    }

    /// Runs the handler called `name` as the host would: JSON in, JSON out.
    pub fn call<P: PluginDefinition>(&self, name: &str, task_context: impl Serialize) -> StepResult<Value> {
        let facts = Facts { task_context: to_json(&task_context), ..self.context.facts().clone() };
        let context = Context::new(facts, self.recorder.clone());
        let output = dispatch(P::HANDLERS, name, &context)?;
        decode(&output).map_err(|error| error.into_error("the output", "invalid_output"))
    }

    /// What was logged so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.recorder.logs.borrow().clone()
    }

    /// The calls to other services so far, answered or not.
    pub fn requests(&self) -> Vec<Sent> {
        self.recorder.requests.borrow().clone()
    }

    /// The progress marks so far.
    pub fn progress(&self) -> Vec<ProgressMark> {
        self.recorder.progress.borrow().clone()
    }
}

#[expect(clippy::panic, reason = "a value that cannot be JSON is a mistake in the test that gave it")]
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| panic!("cannot be JSON: {error}"))
}

/// The host of tests.
#[derive(Default)]
struct Recorder {
    logs: RefCell<Vec<LogLine>>,
    progress: RefCell<Vec<ProgressMark>>,
    secrets: RefCell<Vec<(String, String)>>,
    cancelled: Cell<bool>,
    answers: RefCell<Vec<(String, Answer)>>,
    requests: RefCell<Vec<Sent>>,
}

impl Host for Recorder {
    fn log(&self, level: Level, message: &str, fields: &[(&str, String)]) {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.logs.borrow_mut().push(LogLine { level, message: message.to_owned(), fields });
    }

    fn progress(&self, fraction: f64, note: &str) {
        self.progress.borrow_mut().push(ProgressMark { fraction, note: note.to_owned() });
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    fn secret(&self, name: &str) -> Option<String> {
        let secrets = self.secrets.borrow();
        secrets.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn http(&self, sent: &Sent) -> Result<Response, Problem> {
        self.requests.borrow_mut().push(sent.clone());
        let call = format!("{} {}", sent.method, sent.url);
        let mut answers = self.answers.borrow_mut();
        let Some(place) = answers.iter().position(|(known, _)| *known == call) else {
            return Err(Problem::Denied("the test has no answer to it".to_owned()));
        };
        let (request, answer) = answers.remove(place);
        answer.0.map(|response| Response { request, ..response })
    }
}
