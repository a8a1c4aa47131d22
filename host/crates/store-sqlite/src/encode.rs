//! Many items as one parameter: a JSON array of arrays, whose places the statements name by number. Payloads go in as JSON
//! strings, so that they are stored byte for byte as they came.

use serde::Serialize;
use stepwright_store::{CompletedAttempt, EndedAttempt, Result, StoreError};
use stepwright_workflow::{AttemptKey, Payload};

pub(crate) fn array<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<String> {
    let items: Vec<T> = items.into_iter().collect();
    serde_json::to_string(&items).map_err(|source| StoreError::Engine {
        what: "encode a statement's parameter",
        source: Box::new(source),
    })
}

pub(crate) fn keys(keys: &[AttemptKey]) -> Result<String> {
    array(keys.iter().map(|key| (key.step, key.attempt, key.batch)))
}

/// `[step, attempt, batch, digest, started_at, execution_us, cpu_us, memory_bytes_peak, log]`
pub(crate) fn completed(attempts: &[CompletedAttempt]) -> Result<String> {
    array(attempts.iter().map(|CompletedAttempt { key, line, .. }| {
        (
            key.step,
            key.attempt,
            key.batch,
            line.digest.map(|digest| digest.hex()),
            line.started_at,
            line.execution_us,
            line.cpu_us,
            line.memory_bytes_peak,
            line.log.as_ref().map(Payload::as_str),
        )
    }))
}

/// `[step, attempt, batch, state, failures, losses, ready_at, status, failure, digest, started_at, execution_us, cpu_us,
/// memory_bytes_peak, log]`
pub(crate) fn ended(attempts: &[EndedAttempt]) -> Result<String> {
    let mut items = Vec::with_capacity(attempts.len());
    for EndedAttempt { key, to, ready_at, status, failure, line } in attempts {
        items.push((
            key.step,
            key.attempt,
            key.batch,
            to.state,
            to.failures,
            to.losses,
            ready_at,
            status.as_str(),
            text(failure)?,
            line.digest.map(|digest| digest.hex()),
            line.started_at,
            line.execution_us,
            line.cpu_us,
            line.memory_bytes_peak,
            line.log.as_ref().map(Payload::as_str),
        ));
    }
    array(items)
}

/// A value as JSON text, to be stored as such.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|source| StoreError::Engine { what: "encode a value as JSON", source: Box::new(source) })
}
