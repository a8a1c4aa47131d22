//! Rows of the ledger's batches, and of what may be removed.

use std::collections::BTreeMap;

use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId};

use super::failure;
use crate::column::{digest, json, number, parsed};
use crate::{
    AttemptReceipt, BatchStep, BatchSummary, ExpiredTask, Found, PlannedStep, Result, StoreError, TableSize,
    Usage,
};

/// A batch in a list.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `BatchSummary`")]
pub struct BatchSummaryRow {
    pub id: i64,
    pub worker_id: i64,
    pub worker_name: String,
    pub incarnation: String,
    pub orchestrator: Option<String>,
    pub created_at: i64,
    pub completed_at: Option<i64>,
    pub closed_at: Option<i64>,
    pub ended: Option<String>,
    pub asked_again: i64,
    pub steps: String,
}

impl BatchSummaryRow {
    /// What the row says.
    pub fn summary(self) -> Result<BatchSummary> {
        Ok(BatchSummary {
            id: BatchId(self.id),
            worker: WorkerId(self.worker_id),
            worker_name: self.worker_name,
            incarnation: self.incarnation,
            orchestrator: self.orchestrator,
            created_at: Timestamp(self.created_at),
            completed_at: self.completed_at.map(Timestamp),
            closed_at: self.closed_at.map(Timestamp),
            end: self.ended.as_deref().map(|end| parsed("batches.ended", end)).transpose()?,
            asked_again: number("batches.asked_again", self.asked_again)?,
            steps: json("batches.steps", &self.steps)?,
        })
    }
}

/// One attempt of a batch.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `BatchStep`")]
pub struct BatchStepRow {
    pub step_id: i64,
    pub attempt: i64,
    pub plan_id: Option<i64>,
    pub status: Option<String>,
    pub recorded_at: Option<i64>,
    pub execution_us: Option<i64>,
    pub digest: Option<Vec<u8>>,
    pub failure: Option<String>,
    pub led_to: Option<String>,
    pub retry_at: Option<i64>,
}

impl BatchStepRow {
    /// The plan of the step, while its task is there.
    pub fn plan(&self) -> Option<PlanId> {
        self.plan_id.map(PlanId)
    }

    /// What the row says, with the plans that the rows of its batch name.
    pub fn record(self, plans: &BTreeMap<PlanId, Plan>) -> Result<BatchStep> {
        let step = StepId(self.step_id);
        let planned = match self.plan() {
            Some(plan) => {
                let planned = plans.get(&plan).and_then(|plan| plan.step(step.position()));
                let missing = || StoreError::Inconsistent(format!("step {step} is not in plan {plan}"));
                Some(planned.ok_or_else(missing)?)
            }
            None => None,
        };
        let planned = planned.map(|planned| PlannedStep {
            name: planned.name.clone(),
            plugin: planned.plugin.clone(),
            plugin_version: planned.plugin_version.clone(),
            plugin_digest: planned.digest,
        });
        Ok(BatchStep {
            step,
            task: step.task(),
            attempt: number("batches.steps", self.attempt)?,
            planned,
            status: self.status.as_deref().map(|status| parsed("attempts.status", status)).transpose()?,
            recorded_at: self.recorded_at.map(Timestamp),
            execution_us: self.execution_us.map(|us| number("attempts.execution_us", us)).transpose()?,
            digest: self.digest.map(|bytes| digest("attempts.digest", &bytes)).transpose()?,
            failure: failure("attempts.failure", self.failure)?,
            led_to: self.led_to.as_deref().map(|state| parsed("attempts.led_to", state)).transpose()?,
            retry_at: self.retry_at.map(Timestamp),
        })
    }
}

/// What one look along the ids of a table found.
#[derive(Debug)]
pub struct Look {
    /// Rows that were looked at.
    pub examined: i64,
    /// The last of them.
    pub last: Option<i64>,
    /// Whether all that follow are too young.
    pub past: bool,
}

impl Look {
    /// What the look found, if so many rows were asked for.
    pub fn found<T, Cursor>(
        &self,
        due: Vec<T>,
        asked_for: u32,
        cursor: fn(i64) -> Cursor,
    ) -> Found<T, Cursor> {
        let goes_on = !self.past && self.examined >= i64::from(asked_for);
        Found { due, next: self.last.filter(|_| goes_on).map(cursor) }
    }
}

/// Tasks that may go, as JSON: `[[id, state, steps], …]`.
pub fn expired_tasks(due: &str) -> Result<Vec<ExpiredTask>> {
    let due: Vec<(TaskId, TaskState, u32)> = json("expired tasks", due)?;
    Ok(due.into_iter().map(|(task, state, steps)| ExpiredTask { task, state, steps }).collect())
}

/// How much room a table takes.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `TableSize`")]
pub struct TableSizeRow {
    pub name: String,
    pub rows: i64,
    pub dead_rows: Option<i64>,
    pub bytes: i64,
    pub index_bytes: i64,
    pub unused_bytes: Option<i64>,
    pub vacuumed_at: Option<i64>,
}

impl TableSizeRow {
    /// What the row says.
    pub fn size(self) -> Result<TableSize> {
        let optional = |value: Option<i64>| value.map(|value| number("a table's size", value)).transpose();
        Ok(TableSize {
            name: self.name,
            rows: number("a table's size", self.rows)?,
            dead_rows: optional(self.dead_rows)?,
            bytes: number("a table's size", self.bytes)?,
            index_bytes: number("a table's size", self.index_bytes)?,
            unused_bytes: optional(self.unused_bytes)?,
            vacuumed_at: self.vacuumed_at.map(Timestamp),
        })
    }
}

/// What an attempt used.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of `AttemptReceipt`")]
pub struct ReceiptRow {
    pub step_id: i64,
    pub attempt: i64,
    pub plan_id: i64,
    pub status: String,
    pub execution_us: i64,
    pub cpu_us: i64,
    pub memory_bytes_peak: i64,
    pub usage: Option<String>,
}

impl ReceiptRow {
    /// What the row says.
    pub fn receipt(self) -> Result<AttemptReceipt> {
        Ok(AttemptReceipt {
            step: StepId(self.step_id),
            attempt: number("attempts.attempt", self.attempt)?,
            plan: PlanId(self.plan_id),
            status: parsed("attempts.status", &self.status)?,
            execution_us: number("attempts.execution_us", self.execution_us)?,
            cpu_us: number("attempts.cpu_us", self.cpu_us)?,
            memory_bytes_peak: number("attempts.memory_bytes_peak", self.memory_bytes_peak)?,
            usage: Usage::from_column(self.usage.as_deref())?,
        })
    }
}
