//! One attempt, from the wire's step to the wire's outcome. Payloads are handed on, never copied.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use stepwright_executor::{Control, Executor, HostBroken, LogLine, ParentOutput, StepCall, StepReport};
use stepwright_transport::wire::{OutcomeStatus, Receipt, StepOutcome, StepTask};
use stepwright_workflow::{Failure, FailureClass, Outcome, StepId, TaskId, Timestamp};

use crate::tail::tail;

/// Who the attempt is: what its outcome repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) task: TaskId,
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
}

impl Identity {
    pub(crate) fn of(step: &StepTask) -> Self {
        Self { task: step.task, step: step.step, attempt: step.attempt }
    }
}

/// Runs one attempt. `Err` says why the host could not: the step is not to blame.
pub(crate) async fn run(
    executor: &dyn Executor,
    step: StepTask,
    control: Control,
    (now, payload_bytes_max): (Timestamp, u64),
) -> Result<StepOutcome, String> {
    let identity = Identity::of(&step);
    let call = match call(step) {
        Ok(call) => call,
        Err(failure) => return Ok(never_ran(identity, now, failure)),
    };
    let report = match caught(executor, call, control).await {
        Ok(Ok(report)) => report,
        Ok(Err(broken)) => return Err(described(&broken)),
        Err(panic) => return Err(format!("the executor panicked: {}", panic_text(panic.as_ref()))),
    };
    tell(identity, &report.log);
    Ok(outcome(identity, report, payload_bytes_max))
}

/// An attempt that was ended before any executor saw it.
pub(crate) fn never_ran(identity: Identity, now: Timestamp, error: Failure) -> StepOutcome {
    let ended = Outcome::Failed { error };
    assemble(identity, ended, (now, Duration::ZERO, Receipt::default(), Vec::new()))
}

/// The attempt's outcome with another end: for one that cannot be sent as it is.
pub(crate) fn replaced(outcome: &StepOutcome, error: Failure) -> StepOutcome {
    let identity = Identity { task: outcome.task, step: outcome.step, attempt: outcome.attempt };
    let wall = Duration::from_micros(outcome.execution_us);
    assemble(identity, Outcome::Failed { error }, (outcome.started_at, wall, outcome.receipt, Vec::new()))
}

fn call(step: StepTask) -> Result<StepCall, Failure> {
    check(&step)?;
    let parents = step.parents.into_iter().map(|(step, output)| ParentOutput { step, output }).collect();
    Ok(StepCall {
        task: step.task,
        step_name: step.name,
        attempt: step.attempt,
        retry_limit: step.retry_limit,
        idempotency_key: step.idempotency_key,
        plugin: step.plugin_name,
        plugin_version: step.plugin_version,
        namespace: step.namespace,
        digest: step.plugin,
        handler: step.handler,
        timeout: Duration::from_millis(step.timeout_ms),
        limits: step.limits,
        context: step.context,
        config: step.config,
        parents,
        tags: step.tags,
    })
}

/// What no executor could make sense of. Whether there is such a plugin and handler is the executor's to say.
fn check(step: &StepTask) -> Result<(), Failure> {
    let invalid =
        |message: String| Err(Failure::new(FailureClass::Permanent, message).with_code("invalid_step"));
    if step.step.task() != step.task {
        return invalid(format!(
            "step {} belongs to task {}, not to task {}",
            step.step,
            step.step.task(),
            step.task
        ));
    }
    if step.attempt == 0 {
        return invalid("attempt 0: attempts are counted from 1".to_owned());
    }
    if step.timeout_ms == 0 {
        return invalid("timeout_ms 0: a step needs at least 1 ms".to_owned());
    }
    if step.handler.is_empty() {
        return invalid("handler '': the name of one of the plugin's handlers was expected".to_owned());
    }
    Ok(())
}

/// A panic ends one attempt, not the slot.
async fn caught(
    executor: &dyn Executor,
    call: StepCall,
    control: Control,
) -> Result<Result<StepReport, HostBroken>, Box<dyn Any + Send>> {
    let mut running = pin!(async move { executor.execute(call, control).await });
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
        Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn described(broken: &HostBroken) -> String {
    match broken {
        HostBroken::Internal { what, source } => format!("{what}: {source}"),
        exhausted @ HostBroken::Exhausted(_) => exhausted.to_string(),
    }
}

fn tell(identity: Identity, log: &[LogLine]) {
    if log.is_empty() || !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let Identity { task, step, attempt } = identity;
    for line in log {
        tracing::debug!(%task, %step, attempt, level = line.level, fields = ?line.fields, "{}", line.message);
    }
}

fn outcome(identity: Identity, report: StepReport, payload_bytes_max: u64) -> StepOutcome {
    let receipt = Receipt {
        cpu_us: report.receipt.cpu_us,
        memory_bytes_peak: report.receipt.memory_bytes_peak,
        bytes_in: report.receipt.bytes_in,
        bytes_out: report.receipt.bytes_out,
        host_calls: report.receipt.host_calls,
        http_calls: report.receipt.http_calls,
        http_bytes_out: report.receipt.http_bytes_out,
        http_bytes_in: report.receipt.http_bytes_in,
        file_bytes_written: report.receipt.file_bytes_written,
    };
    let ended = within(report.outcome, payload_bytes_max);
    let log = if matches!(ended, Outcome::Failed { .. }) { tail(report.log) } else { Vec::new() };
    assemble(identity, ended, (report.started_at, report.wall, receipt, log))
}

/// An outcome that the orchestrator would not take becomes a failure that says so.
fn within(ended: Outcome, payload_bytes_max: u64) -> Outcome {
    let payload = match &ended {
        Outcome::Completed { output } => Some(("output", output)),
        Outcome::Failed { error } => error.details.as_ref().map(|details| ("details of the error", details)),
    };
    let Some((what, payload)) = payload.filter(|(_, payload)| payload.bytes() as u64 > payload_bytes_max)
    else {
        return ended;
    };
    let bytes = payload.bytes();
    let message = format!("the {what} take {bytes} bytes; the orchestrator allows {payload_bytes_max}");
    Outcome::Failed {
        error: Failure::new(FailureClass::OutputTooLarge, message).with_code("payload_bytes_max"),
    }
}

fn assemble(
    identity: Identity,
    ended: Outcome,
    (started_at, wall, receipt, log): (
        Timestamp,
        Duration,
        Receipt,
        Vec<stepwright_transport::wire::LogLine>,
    ),
) -> StepOutcome {
    let digest = ended.digest();
    let (status, output, error) = match ended {
        Outcome::Completed { output } => (OutcomeStatus::Completed, Some(output), None),
        Outcome::Failed { error } => (OutcomeStatus::Failed, None, Some(error)),
    };
    let execution_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
    let Identity { task, step, attempt } = identity;
    StepOutcome { task, step, attempt, status, output, error, digest, started_at, execution_us, receipt, log }
}
