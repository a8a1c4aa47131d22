//! What happened to a task's steps.

use serde::Serialize;
use stepwright_store::{AttemptRecord, Usage};
use utoipa::ToSchema;

use super::{Failure, Json, word};

/// Every recorded attempt of a task's steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptList {
    /// By step and attempt.
    pub attempts: Vec<Attempt>,
}

/// A recorded attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attempt {
    /// The step.
    pub step: i64,
    /// The step's name.
    pub step_name: String,
    /// The attempt.
    pub attempt: u32,
    /// The batch that carried it.
    pub batch: i64,
    /// The worker that held it.
    pub worker: i64,
    /// The worker's name.
    pub worker_name: String,
    /// The component that ran.
    pub plugin: String,
    /// How it ended.
    pub status: word::AttemptStatus,
    /// Why, unless it completed.
    pub failure: Option<Failure>,
    /// The outcome's fingerprint.
    pub digest: Option<String>,
    /// When it started, by the worker's clock.
    pub started_at: Option<i64>,
    /// When it was recorded.
    pub recorded_at: i64,
    /// How long it ran, in microseconds.
    pub execution_us: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that it held, in bytes.
    pub memory_bytes_peak: u64,
    /// What it used beside.
    pub usage: AttemptUsage,
    /// The last lines of its log; null if there are none.
    #[schema(value_type = Json)]
    pub log: Option<Json>,
    /// What a failed or lost attempt made of its step.
    pub led_to: Option<word::StepState>,
    /// When the step was to be tried again, if it had to wait.
    pub retry_at: Option<i64>,
}

/// What an attempt used beside time and memory.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptUsage {
    /// Payload bytes handed in.
    pub bytes_in: u64,
    /// Payload bytes handed out.
    pub bytes_out: u64,
    /// Calls to the host's own interfaces.
    pub host_calls: u64,
    /// HTTP requests that went out.
    pub http_calls: u64,
    /// Bytes of their bodies.
    pub http_bytes_out: u64,
    /// Bytes of the responses' bodies.
    pub http_bytes_in: u64,
    /// Bytes written to files.
    pub file_bytes_written: u64,
}

impl From<Usage> for AttemptUsage {
    fn from(usage: Usage) -> Self {
        let Usage {
            bytes_in,
            bytes_out,
            host_calls,
            http_calls,
            http_bytes_out,
            http_bytes_in,
            file_bytes_written,
        } = usage;
        Self {
            bytes_in,
            bytes_out,
            host_calls,
            http_calls,
            http_bytes_out,
            http_bytes_in,
            file_bytes_written,
        }
    }
}

impl From<AttemptRecord> for Attempt {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            step: attempt.step.0,
            step_name: attempt.step_name,
            attempt: attempt.attempt,
            batch: attempt.batch.0,
            worker: attempt.worker.0,
            worker_name: attempt.worker_name,
            plugin: attempt.plugin.to_string(),
            status: attempt.status.into(),
            failure: attempt.failure.map(Failure::from),
            digest: attempt.digest.map(|digest| digest.to_string()),
            started_at: attempt.started_at.map(|at| at.0),
            recorded_at: attempt.recorded_at.0,
            execution_us: attempt.execution_us,
            cpu_us: attempt.cpu_us,
            memory_bytes_peak: attempt.memory_bytes_peak,
            usage: attempt.usage.into(),
            log: attempt.log.map(Json),
            led_to: attempt.led_to.map(word::StepState),
            retry_at: attempt.retry_at.map(|at| at.0),
        }
    }
}

/// Everything that ever happened to a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// The task.
    pub task: i64,
    /// Oldest first.
    pub history: Vec<HistoryEvent>,
}

/// One line of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HistoryEvent {
    /// When.
    pub at: i64,
    /// What kind of thing happened: created, operator, claimed, completed, failed, lost, lease_lost, duplicate, late, discrepancy,
    /// repaired, batch_closed or settled.
    pub kind: String,
    /// The step's name.
    pub step: Option<String>,
    /// The attempt.
    pub attempt: Option<u32>,
    /// The batch.
    pub batch: Option<i64>,
    /// The worker's name.
    pub worker: Option<String>,
    /// The worker's incarnation.
    pub incarnation: Option<String>,
    /// The component's digest.
    pub plugin: Option<String>,
    /// What happened; for people.
    pub what: String,
    /// What it changed; for people.
    pub changed: String,
}
