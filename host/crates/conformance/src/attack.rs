//! One attack: what is run, under which limits, and what must come of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{Outcome, Refusal, StepReport};
use stepwright_workflow::{FailureClass, StepLimits};

use crate::corpus::Component;
use crate::ground::Ground;

/// Everything that one guest does.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) attacks: Vec<Attack>,
}

/// One attack of a guest.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) deed: Deed,
    pub(crate) expected: Expected,
    /// The limit that ends it, if it is one of time.
    pub(crate) limit: Option<Duration>,
}

/// What is done.
pub(crate) enum Deed {
    /// A step is run.
    Step(Step),
    /// A file is looked at, as for a registration.
    Inspect(Component),
    /// Something that is neither.
    Other(Other),
}

/// What takes more than one step.
pub(crate) type Other = fn(Arc<Ground>) -> Pin<Box<dyn Future<Output = Result<Seen, String>> + Send>>;

impl std::fmt::Debug for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(step) => f.debug_tuple("Step").field(step).finish(),
            Self::Inspect(component) => f.debug_tuple("Inspect").field(component).finish(),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

/// A step of an attack.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) component: Component,
    pub(crate) handler: &'static str,
    pub(crate) context: String,
    pub(crate) limits: StepLimits,
    pub(crate) timeout: Duration,
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// `completed`, `refused`, or a failure's class.
    pub(crate) class: &'static str,
    /// A failure's code, or the kind of refusal; empty for none.
    pub(crate) code: &'static str,
    /// What the output or the message must contain.
    pub(crate) text: &'static str,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) class: String,
    pub(crate) code: String,
    /// The output or the message.
    pub(crate) text: String,
}

/// Enough CPU and time for whatever is to be ended by something else.
pub(crate) const AMPLE: Duration = Duration::from_secs(30);

impl Step {
    /// A handler of the component in Rust, called with nothing, and with time enough.
    pub(crate) fn hostile(handler: &'static str) -> Self {
        Self::of(Component::Hostile, handler)
    }

    /// The handler of a component in text.
    pub(crate) fn text(name: &'static str) -> Self {
        Self::of(Component::Text(name), "honest")
    }

    pub(crate) fn of(component: Component, handler: &'static str) -> Self {
        let limits = StepLimits { cpu_ms_max: Some(30_000), ..StepLimits::default() };
        Self { component, handler, context: "{}".to_owned(), limits, timeout: AMPLE }
    }

    /// What the handler is told.
    pub(crate) fn told(mut self, context: impl Into<String>) -> Self {
        self.context = context.into();
        self
    }

    /// An attack that a limit of CPU time has to end.
    pub(crate) fn until_cpu(mut self, name: &str, ms: u64) -> Attack {
        self.limits.cpu_ms_max = Some(ms);
        let attack = self.expect(name, Expected::failed(FailureClass::Timeout, "cpu"));
        Attack { limit: Some(Duration::from_millis(ms)), ..attack }
    }

    /// An attack that the step's timeout has to end.
    pub(crate) fn until_timeout(mut self, name: &str, ms: u64) -> Attack {
        self.timeout = Duration::from_millis(ms);
        let limit = Some(self.timeout);
        Attack { limit, ..self.expect(name, Expected::failed(FailureClass::Timeout, "wall_clock")) }
    }

    /// An attack with this end.
    pub(crate) fn expect(self, name: &str, expected: Expected) -> Attack {
        Attack { name: name.to_owned(), deed: Deed::Step(self), expected, limit: None }
    }
}

impl Attack {
    /// An attack on whoever looks at a file.
    pub(crate) fn inspect(name: &str, component: Component, expected: Expected) -> Self {
        Self { name: name.to_owned(), deed: Deed::Inspect(component), expected, limit: None }
    }

    /// An attack of another kind.
    pub(crate) fn other(name: &str, other: Other, expected: Expected) -> Self {
        Self { name: name.to_owned(), deed: Deed::Other(other), expected, limit: None }
    }

    /// The limit that ends it, for the report.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Expected {
    /// The step fails, with this class and code.
    pub(crate) fn failed(class: FailureClass, code: &'static str) -> Self {
        Self { class: class.as_str(), code, text: "" }
    }

    /// The step completes, and its output contains this.
    pub(crate) const fn completed(text: &'static str) -> Self {
        Self { class: "completed", code: "", text }
    }

    /// The file is refused, for this reason, and the message contains this.
    pub(crate) const fn refused(code: &'static str, text: &'static str) -> Self {
        Self { class: "refused", code, text }
    }

    /// Whether this is what was expected.
    pub(crate) fn fits(&self, seen: &Seen) -> bool {
        self.class == seen.class && self.code == seen.code && seen.text.contains(self.text)
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.class)?;
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " with '{}'", self.text) }
    }
}

impl Seen {
    /// How a step ended.
    pub(crate) fn step(report: &StepReport) -> Self {
        match &report.outcome {
            Outcome::Completed { output } => Self::completed(output.as_str()),
            Outcome::Failed { error } => Self {
                class: error.class.as_str().to_owned(),
                code: error.code.clone().unwrap_or_default(),
                text: error.message.clone(),
            },
        }
    }

    /// Something went as it should.
    pub(crate) fn completed(text: impl Into<String>) -> Self {
        Self { class: "completed".to_owned(), code: String::new(), text: text.into() }
    }

    /// What a file was refused for.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::NotWasm => "not_wasm",
            Refusal::CoreModule => "core_module",
            Refusal::Invalid(_) => "invalid",
            Refusal::Imports { .. } => "imports",
            Refusal::Exports { .. } => "exports",
            Refusal::Types(_) => "types",
            Refusal::Describe(_) => "describe",
            Refusal::Description(_) => "description",
            Refusal::Host(_) => "host",
        };
        Self { class: "refused".to_owned(), code: code.to_owned(), text: refusal.to_string() }
    }
}
