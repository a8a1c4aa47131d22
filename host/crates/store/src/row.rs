//! The rows that engines read, all numbers as they come, and what they say. Both engines select the same columns, so that a
//! row means the same whichever of them it came from.

mod ledger;
mod performance;

pub use ledger::*;
pub use performance::*;

use stepwright_workflow::audit::StepFacts;
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{
    AttemptKey, BatchId, Failure, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId, step::StepStanding,
    step::StepState,
};

use crate::column::{digest, json, number, parsed, payload};
pub use crate::plugin::PluginRow;
pub use crate::presence::OrchestratorRow;
use crate::{
    AttemptRecord, AuditedTask, LeasedStep, NoteRecord, OpenBatch, PauseRecord, ReadyStep, Result,
    StepRecord, StepRow, StepStatistics, StoreError, SuspectRecord, TaskSummary, Usage, WorkerRecord,
};

/// The key of an attempt.
pub fn key(step: i64, attempt: i64, batch: i64) -> Result<AttemptKey> {
    Ok(AttemptKey { step: StepId(step), attempt: number("steps.attempt", attempt)?, batch: BatchId(batch) })
}

/// Where a step stands.
pub fn standing(state: &str, failures: i64, losses: i64) -> Result<StepStanding> {
    Ok(StepStanding {
        state: parsed("steps.state", state)?,
        failures: number("steps.failures", failures)?,
        losses: number("steps.losses", losses)?,
    })
}

fn failure(column: &str, text: Option<String>) -> Result<Option<Failure>> {
    text.map(|text| json(column, &text)).transpose()
}

/// A task in a list.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `TaskSummary`")]
pub struct SummaryRow {
    pub id: i64,
    pub plan_id: i64,
    pub namespace: String,
    pub template: String,
    pub version: String,
    pub state: String,
    pub priority: i64,
    pub idempotency_key: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub steps: i64,
    pub steps_finished: i64,
    pub steps_in_error: i64,
}

impl SummaryRow {
    /// What the row says.
    pub fn summary(self) -> Result<TaskSummary> {
        Ok(TaskSummary {
            id: TaskId(self.id),
            plan: PlanId(self.plan_id),
            namespace: self.namespace,
            template: self.template,
            version: self.version,
            state: parsed("tasks.state", &self.state)?,
            priority: number("tasks.priority", self.priority)?,
            idempotency_key: self.idempotency_key,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            finished_at: self.finished_at.map(Timestamp),
            steps: number("count of steps", self.steps)?,
            steps_finished: number("count of steps", self.steps_finished)?,
            steps_in_error: number("count of steps", self.steps_in_error)?,
        })
    }
}

/// A step with its last attempt.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `StepRecord`")]
pub struct StepDetailRow {
    pub id: i64,
    pub state: String,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub pending_parents: i64,
    pub ready_at: Option<i64>,
    pub progress: Option<f64>,
    pub note: Option<String>,
    pub output: Option<String>,
    pub batch_id: Option<i64>,
    pub worker: Option<String>,
    pub failure: Option<String>,
    pub execution_us: Option<i64>,
}

impl StepDetailRow {
    /// What the row says of a step of this plan, while these pauses are in force.
    pub fn record(self, plan: &Plan, pauses: &[PauseRecord]) -> Result<StepRecord> {
        let id = StepId(self.id);
        let step = plan.step(id.position());
        let step =
            step.ok_or_else(|| StoreError::Inconsistent(format!("step {id} is not in its task's plan")))?;
        let parents =
            step.parents.iter().filter_map(|parent| plan.step(*parent)).map(|parent| parent.name.clone());
        let state: StepState = parsed("steps.state", &self.state)?;
        let leased = state.is_leased();
        Ok(StepRecord {
            id,
            name: step.name.clone(),
            parents: parents.collect(),
            state,
            attempt: number("steps.attempt", self.attempt)?,
            failures: number("steps.failures", self.failures)?,
            losses: number("steps.losses", self.losses)?,
            retry_limit: step.retry.limit,
            pending_parents: number("steps.pending_parents", self.pending_parents)?,
            ready_at: self.ready_at.map(Timestamp),
            external: step.external().map(str::to_owned),
            paused: pauses.iter().any(|pause| pause.target.covers(id.task(), plan, step)),
            worker: self.worker.filter(|_| leased),
            batch: self.batch_id.filter(|_| leased).map(BatchId),
            progress: self.progress,
            note: self.note,
            output: self.output.map(|text| payload("steps.output", text)).transpose()?,
            failure: if state.finished_well() { None } else { failure("attempts.failure", self.failure)? },
            execution_us: self.execution_us.map(|us| number("attempts.execution_us", us)).transpose()?,
        })
    }
}

/// A recorded attempt.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `AttemptRecord`")]
pub struct AttemptRow {
    pub step_id: i64,
    pub attempt: i64,
    pub batch_id: i64,
    pub worker_id: i64,
    pub worker_name: String,
    pub status: String,
    pub failure: Option<String>,
    pub digest: Option<Vec<u8>>,
    pub started_at: Option<i64>,
    pub recorded_at: i64,
    pub execution_us: i64,
    pub cpu_us: i64,
    pub memory_bytes_peak: i64,
    pub usage: Option<String>,
    pub log: Option<String>,
    pub led_to: Option<String>,
    pub retry_at: Option<i64>,
}

impl AttemptRow {
    /// What the row says of a step of this plan.
    pub fn record(self, plan: &Plan) -> Result<AttemptRecord> {
        let step = StepId(self.step_id);
        let planned = plan.step(step.position());
        let planned =
            planned.ok_or_else(|| StoreError::Inconsistent(format!("step {step} is not in its plan")))?;
        Ok(AttemptRecord {
            step,
            step_name: planned.name.clone(),
            attempt: number("attempts.attempt", self.attempt)?,
            batch: BatchId(self.batch_id),
            worker: WorkerId(self.worker_id),
            worker_name: self.worker_name,
            plugin: planned.digest,
            status: parsed("attempts.status", &self.status)?,
            failure: failure("attempts.failure", self.failure)?,
            digest: self.digest.map(|bytes| digest("attempts.digest", &bytes)).transpose()?,
            started_at: self.started_at.map(Timestamp),
            recorded_at: Timestamp(self.recorded_at),
            execution_us: number("attempts.execution_us", self.execution_us)?,
            cpu_us: number("attempts.cpu_us", self.cpu_us)?,
            memory_bytes_peak: number("attempts.memory_bytes_peak", self.memory_bytes_peak)?,
            usage: Usage::from_column(self.usage.as_deref())?,
            log: self.log.map(|text| payload("attempts.log", text)).transpose()?,
            led_to: self.led_to.as_deref().map(|state| parsed("attempts.led_to", state)).transpose()?,
            retry_at: self.retry_at.map(Timestamp),
        })
    }
}

/// A note of the ledger.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `NoteRecord`")]
pub struct NoteRow {
    pub at: i64,
    pub step_id: Option<i64>,
    pub batch_id: Option<i64>,
    pub attempt: Option<i64>,
    pub kind: String,
    pub detail: String,
}

impl NoteRow {
    /// What the row says.
    pub fn record(self) -> Result<NoteRecord> {
        Ok(NoteRecord {
            at: Timestamp(self.at),
            step: self.step_id.map(StepId),
            batch: self.batch_id.map(BatchId),
            attempt: self.attempt.map(|attempt| number("notes.attempt", attempt)).transpose()?,
            kind: parsed("notes.kind", &self.kind)?,
            detail: self.detail,
        })
    }
}

/// A worker's incarnation.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `WorkerRecord`")]
pub struct WorkerRow {
    pub id: i64,
    pub name: String,
    pub incarnation: String,
    pub host: String,
    pub pid: i64,
    pub slots: i64,
    pub state: String,
    pub joined_at: i64,
    pub seen_at: i64,
    pub steps_held: i64,
}

impl WorkerRow {
    /// What the row says.
    pub fn record(self) -> Result<WorkerRecord> {
        Ok(WorkerRecord {
            id: WorkerId(self.id),
            name: self.name,
            incarnation: self.incarnation,
            host: self.host,
            pid: number("workers.pid", self.pid)?,
            slots: number("workers.slots", self.slots)?,
            state: parsed("workers.state", &self.state)?,
            joined_at: Timestamp(self.joined_at),
            seen_at: Timestamp(self.seen_at),
            steps_held: number("count of steps", self.steps_held)?,
        })
    }
}

/// Attempts of one step of one plan, summed up.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `StepStatistics`")]
pub struct StatisticsRow {
    pub namespace: String,
    pub template: String,
    pub step: String,
    pub completed: i64,
    pub failed: i64,
    pub lost: i64,
    pub p50_us: i64,
    pub p99_us: i64,
}

impl StatisticsRow {
    /// What the row says.
    pub fn record(self) -> Result<StepStatistics> {
        Ok(StepStatistics {
            namespace: self.namespace,
            template: self.template,
            step: self.step,
            completed: number("count of attempts", self.completed)?,
            failed: number("count of attempts", self.failed)?,
            lost: number("count of attempts", self.lost)?,
            p50_us: number("attempts.execution_us", self.p50_us)?,
            p99_us: number("attempts.execution_us", self.p99_us)?,
        })
    }
}

/// A batch with its attempts as JSON: `[[step, attempt], …]`.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `OpenBatch`")]
pub struct BatchRow {
    pub id: i64,
    pub worker_id: i64,
    pub steps: String,
    pub ended: Option<String>,
}

impl BatchRow {
    /// What the row says.
    pub fn record(self) -> Result<OpenBatch> {
        let steps: Vec<(StepId, u32)> = json("batches.steps", &self.steps)?;
        let end = self.ended.as_deref().map(|end| parsed("batches.ended", end)).transpose()?;
        Ok(OpenBatch { batch: BatchId(self.id), worker: WorkerId(self.worker_id), steps, end })
    }
}

/// A step of an unfinished task.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `AuditedTask` and `StepFacts`")]
pub struct AuditRow {
    pub task_id: i64,
    pub plan_id: i64,
    pub task_state: String,
    pub id: i64,
    pub state: String,
    pub pending_parents: i64,
    pub queued: bool,
    pub parked: bool,
    pub held: bool,
}

impl AuditRow {
    /// What the rows say, which come by task and position.
    pub fn tasks(rows: Vec<Self>) -> Result<Vec<AuditedTask>> {
        let mut tasks: Vec<AuditedTask> = Vec::new();
        for row in rows {
            let facts = StepFacts {
                position: StepId(row.id).position(),
                state: parsed("steps.state", &row.state)?,
                pending_parents: number("steps.pending_parents", row.pending_parents)?,
                queued: row.queued,
                parked: row.parked,
                held: row.held,
            };
            match tasks.last_mut().filter(|last| last.task.0 == row.task_id) {
                Some(last) => last.steps.push(facts),
                None => tasks.push(AuditedTask {
                    task: TaskId(row.task_id),
                    plan: PlanId(row.plan_id),
                    state: parsed("tasks.state", &row.task_state)?,
                    steps: vec![facts],
                }),
            }
        }
        Ok(tasks)
    }
}

/// A step that could be claimed, or could be but for a pause.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `ReadyStep`")]
pub struct ReadyRow {
    pub id: i64,
    pub plan_id: i64,
    pub attempt: i64,
    pub pauses: bool,
}

impl ReadyRow {
    /// What the row says.
    pub fn record(self) -> Result<ReadyStep> {
        Ok(ReadyStep {
            step: StepId(self.id),
            plan: PlanId(self.plan_id),
            attempt: number("steps.attempt", self.attempt)?,
            pauses: self.pauses,
        })
    }
}

/// A pause.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `PauseRecord`")]
pub struct PauseRow {
    pub scope: String,
    pub name: String,
    pub since: i64,
    pub who: String,
    pub why: String,
}

impl PauseRow {
    /// What the row says.
    pub fn record(self) -> Result<PauseRecord> {
        let target = PauseTarget::read(&self.scope, &self.name)
            .map_err(|error| StoreError::Inconsistent(format!("table pauses: {error}")))?;
        Ok(PauseRecord { target, since: Timestamp(self.since), who: self.who, why: self.why })
    }
}

/// A suspect.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `SuspectRecord`")]
pub struct SuspectRow {
    pub digest: Vec<u8>,
    pub losses: i64,
    pub last_at: i64,
}

impl SuspectRow {
    /// What the row says.
    pub fn record(self) -> Result<SuspectRecord> {
        Ok(SuspectRecord {
            digest: digest("suspects.digest", &self.digest)?,
            losses: number("suspects.losses", self.losses)?,
            last_at: Timestamp(self.last_at),
        })
    }
}

/// A step that is leased.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `LeasedStep`")]
pub struct LeasedRow {
    pub id: i64,
    pub attempt: i64,
    pub batch_id: i64,
    pub plan_id: i64,
    pub state: String,
    pub failures: i64,
    pub losses: i64,
}

impl LeasedRow {
    /// What the row says.
    pub fn record(self) -> Result<LeasedStep> {
        Ok(LeasedStep {
            key: key(self.id, self.attempt, self.batch_id)?,
            plan: PlanId(self.plan_id),
            standing: standing(&self.state, self.failures, self.losses)?,
        })
    }
}

/// A step before an operator.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `StepRow`")]
pub struct StepOfTaskRow {
    pub id: i64,
    pub state: String,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub pending_parents: i64,
    pub batch_id: Option<i64>,
}

impl StepOfTaskRow {
    /// What the row says.
    pub fn record(self) -> Result<StepRow> {
        Ok(StepRow {
            step: StepId(self.id),
            standing: standing(&self.state, self.failures, self.losses)?,
            attempt: number("steps.attempt", self.attempt)?,
            pending_parents: number("steps.pending_parents", self.pending_parents)?,
            batch: self.batch_id.map(BatchId),
        })
    }
}
