//! From columns to values. A column that holds what it must not is an inconsistency that names it.

use std::fmt::Display;
use std::str::FromStr;

use stepwright_store::{AttemptStatus, BatchEnd, NoteKind, OpenBatch, Result, StoreError, WorkerState};
use stepwright_workflow::{BatchId, Digest, Failure, Payload, StepId, WorkerId};

pub(crate) fn inconsistent(column: &str, value: impl Display) -> StoreError {
    StoreError::Inconsistent(format!("column {column} holds '{value}'"))
}

/// A count or size that the schema keeps from being negative.
pub(crate) fn number<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| inconsistent(column, value))
}

pub(crate) fn parsed<T: FromStr>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| inconsistent(column, text))
}

pub(crate) fn digest(column: &str, bytes: &[u8]) -> Result<Digest> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| inconsistent(column, format!("{} bytes", bytes.len())))?;
    Ok(Digest::from_bytes(bytes))
}

pub(crate) fn payload(column: &str, text: String) -> Result<Payload> {
    Payload::trusted(text).map_err(|error| inconsistent(column, error))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| inconsistent(column, error))
}

pub(crate) fn failure(column: &str, text: Option<String>) -> Result<Option<Failure>> {
    text.map(|text| json(column, &text)).transpose()
}

pub(crate) fn attempt_status(text: &str) -> Result<AttemptStatus> {
    let all = [AttemptStatus::Completed, AttemptStatus::Failed, AttemptStatus::Lost];
    all.into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| inconsistent("attempts.status", text))
}

pub(crate) fn batch_end(text: &str) -> Result<BatchEnd> {
    let all = [BatchEnd::Reconciled, BatchEnd::Discrepancy, BatchEnd::Lost];
    all.into_iter().find(|end| end.as_str() == text).ok_or_else(|| inconsistent("batches.ended", text))
}

pub(crate) fn note_kind(text: &str) -> Result<NoteKind> {
    let all =
        [NoteKind::Late, NoteKind::Duplicate, NoteKind::Discrepancy, NoteKind::LeaseLost, NoteKind::Operator];
    all.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| inconsistent("notes.kind", text))
}

pub(crate) fn worker_state(text: &str) -> Result<WorkerState> {
    let all = [WorkerState::Joined, WorkerState::Left, WorkerState::Lost];
    all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| inconsistent("workers.state", text))
}

/// A row of `batches`.
pub(crate) struct BatchRow {
    pub(crate) id: i64,
    pub(crate) worker_id: i64,
    pub(crate) steps: String,
    pub(crate) ended: Option<String>,
}

impl BatchRow {
    pub(crate) fn open(self) -> Result<OpenBatch> {
        let steps: Vec<(StepId, u32)> = json("batches.steps", &self.steps)?;
        let end = self.ended.as_deref().map(batch_end).transpose()?;
        Ok(OpenBatch { batch: BatchId(self.id), worker: WorkerId(self.worker_id), steps, end })
    }
}
