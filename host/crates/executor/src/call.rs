//! What goes into one attempt and what comes out of it: the seam between the worker and whatever runs steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stepwright_workflow::{Digest, Outcome, Payload, StepLimits, TaskId, Timestamp};
use tokio::sync::Notify;

/// One attempt: everything that the handler is told, and everything that bounds it.
#[derive(Debug, Clone)]
pub struct StepCall {
    /// The task, for the handler's eyes.
    pub task: TaskId,
    /// The step's name in the template.
    pub step_name: String,
    /// Which try this is, counted from 1.
    pub attempt: u32,
    /// Failed attempts allowed in all.
    pub retry_limit: u32,
    /// The same for every attempt of this step.
    pub idempotency_key: String,
    /// The plugin as `namespace/name`, for its grants. Empty if whoever sent the step did not say; it is granted nothing then.
    pub plugin: String,
    /// The plugin's version, for its grants.
    pub plugin_version: String,
    /// The namespace of the task's template, for the plugin's grants.
    pub namespace: String,
    /// The component to run.
    pub digest: Digest,
    /// The handler within it.
    pub handler: String,
    /// The longest that the attempt may take.
    pub timeout: Duration,
    /// What the attempt may use; `None` fields mean the executor's defaults.
    pub limits: StepLimits,
    /// What the task was started with.
    pub context: Payload,
    /// The step's configuration.
    pub config: Payload,
    /// Outputs of the direct parents, in the template's order.
    pub parents: Vec<ParentOutput>,
    /// The task's labels.
    pub tags: Vec<(String, String)>,
}

/// The output of one direct parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentOutput {
    /// The parent's step name.
    pub step: String,
    /// What it returned.
    pub output: Payload,
}

/// What an attempt left behind.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// How it ended.
    pub outcome: Outcome,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it ran, sandbox included.
    pub wall: Duration,
    /// What it used.
    pub receipt: Receipt,
    /// Its log: the guest's own lines, then what it wrote to stdout and stderr, bounded.
    pub log: Vec<LogLine>,
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// CPU time in microseconds, measured as the time that the guest was being polled.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// Payload bytes handed in.
    pub bytes_in: u64,
    /// Payload bytes handed out.
    pub bytes_out: u64,
    /// Calls to the host's own interfaces (log, progress, cancelled, secret).
    pub host_calls: u64,
    /// HTTP requests that went out.
    pub http_calls: u64,
    /// Bytes of their bodies.
    pub http_bytes_out: u64,
    /// Bytes of the responses' bodies.
    pub http_bytes_in: u64,
    /// Bytes written to files.
    pub file_bytes_written: u64,
    /// Log lines and output bytes that were dropped because a limit was reached.
    pub log_dropped: u64,
}

/// One line of a step's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error`, or `stdout` and `stderr` for what was printed.
    pub level: &'static str,
    /// The text.
    pub message: String,
    /// Structured fields.
    pub fields: Vec<(String, String)>,
}

/// The wires between a running attempt and whoever started it.
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<ControlState>);

#[derive(Debug, Default)]
struct ControlState {
    cancelled: AtomicBool,
    cancel: Notify,
    progress: std::sync::Mutex<Option<(f64, String)>>,
}

impl Control {
    /// Tells the attempt to stop. A handler that does not look is ended all the same.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.cancel.notify_waiters();
    }

    /// Whether the attempt was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Resolves once the attempt was told to stop.
    pub async fn cancelled(&self) {
        let mut waiting = std::pin::pin!(self.0.cancel.notified());
        waiting.as_mut().enable();
        if !self.is_cancelled() {
            waiting.await;
        }
    }

    /// Keeps the newest progress mark; older ones that nobody took are forgotten.
    pub fn progress(&self, fraction: f64, note: String) {
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        *self.0.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((fraction, note));
    }

    /// Takes the newest progress mark, if one came since the last take.
    pub fn take_progress(&self) -> Option<(f64, String)> {
        self.0.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// The host cannot run steps at all: not a step's fault, so the step is not charged for it.
#[derive(Debug, thiserror::Error)]
pub enum HostBroken {
    /// The sandbox's own resources are used up.
    #[error("no sandbox is free: {0}")]
    Exhausted(String),
    /// Something that the host owns failed.
    #[error("{what}")]
    Internal {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Whatever runs attempts: WebAssembly components, or a script in tests.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs one attempt to its end and never longer than its limits allow.
    ///
    /// Dropping the future ends the attempt. The report's outcome is what the handler or a limit decided.
    async fn execute(&self, call: StepCall, control: Control) -> Result<StepReport, HostBroken>;
}
