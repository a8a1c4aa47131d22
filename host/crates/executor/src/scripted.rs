//! Runs steps from a script: the executor of every test that is not about WebAssembly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use stepwright_workflow::{Clock, Failure, FailureClass, Outcome, Payload};

use crate::call::{Control, Executor, HostBroken, Receipt, StepCall, StepReport};

/// What the script has a step do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scripted {
    /// End like this after so long. A step that is told to stop, or whose timeout is shorter, ends that way instead.
    Outcome(Outcome, Duration),
    /// Never return by itself.
    Hang,
    /// Find the host broken.
    Broken(String),
}

impl Scripted {
    /// Completes at once with this output.
    pub fn completed(output: Payload) -> Self {
        Self::Outcome(Outcome::Completed { output }, Duration::ZERO)
    }

    /// Fails at once with the retryability that is usual for the class.
    pub fn failed(class: FailureClass, message: &str) -> Self {
        Self::Outcome(Outcome::Failed { error: Failure::new(class, message) }, Duration::ZERO)
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        match self {
            Self::Outcome(outcome, _) => Self::Outcome(outcome, delay),
            other => other,
        }
    }
}

type Script = Box<dyn Fn(&StepCall) -> Scripted + Send + Sync>;

/// An executor without a sandbox. It remembers every call.
pub struct ScriptedExecutor {
    script: Script,
    clock: Arc<dyn Clock>,
    calls: Mutex<Vec<StepCall>>,
}

impl ScriptedExecutor {
    /// Asks the script at every call.
    pub fn new(
        clock: Arc<dyn Clock>,
        script: impl Fn(&StepCall) -> Scripted + Send + Sync + 'static,
    ) -> Self {
        Self { script: Box::new(script), clock, calls: Mutex::default() }
    }

    /// Looks each call up by the step's name, then by the handler's, and the attempt; whatever is not in the table completes
    /// with `null`.
    pub fn table<'a>(
        clock: Arc<dyn Clock>,
        rows: impl IntoIterator<Item = (&'a str, u32, Scripted)>,
    ) -> Self {
        let rows = rows.into_iter().map(|(name, attempt, scripted)| ((name.to_owned(), attempt), scripted));
        let rows: HashMap<_, _> = rows.collect();
        Self::new(clock, move |call| {
            let row = |name: &String| rows.get(&(name.clone(), call.attempt)).cloned();
            row(&call.step_name)
                .or_else(|| row(&call.handler))
                .unwrap_or_else(|| Scripted::completed(Payload::null()))
        })
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<StepCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Executor for ScriptedExecutor {
    async fn execute(&self, call: StepCall, control: Control) -> Result<StepReport, HostBroken> {
        let started_at = self.clock.now();
        let scripted = (self.script)(&call);
        let bytes_in = (call.context.bytes() + call.config.bytes()) as u64;
        let timeout = call.timeout;
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        let (outcome, delay) = match scripted {
            Scripted::Outcome(outcome, delay) => (Some(outcome), delay),
            Scripted::Hang => (None, Duration::MAX),
            Scripted::Broken(reason) => return Err(HostBroken::Exhausted(reason)),
        };
        let failed = |class, message| Outcome::Failed { error: Failure::new(class, message) };
        let timed_out = || failed(FailureClass::Timeout, "the script outlasted the step's timeout");
        let outcome = tokio::select! {
            biased;
            () = control.cancelled() => failed(FailureClass::Cancelled, "the attempt was told to stop"),
            () = tokio::time::sleep(delay.min(timeout)) => match outcome {
                Some(outcome) if delay <= timeout => outcome,
                _ => timed_out(),
            },
        };
        let wall = self.clock.now().since(started_at);
        let receipt = Receipt { bytes_in, ..Receipt::default() };
        Ok(StepReport { outcome, started_at, wall, receipt, log: Vec::new() })
    }
}
