//! Many items as one parameter: a JSON array of arrays, whose places the statements name by number. Payloads go in as JSON
//! strings, so that they are stored byte for byte as they came.

use serde::Serialize;
use stepwright_store::column::text;
use stepwright_store::{CompletedAttempt, EndedAttempt, NewBatch, NewTask, Result, StoreError};
use stepwright_workflow::{AttemptKey, BatchId, Payload, StepId, TaskId};

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

/// `[task, plan, namespace, template, priority, idempotency_key]`
pub(crate) fn tasks(tasks: &[(TaskId, &NewTask)]) -> Result<String> {
    array(tasks.iter().map(|(id, task)| {
        (id, task.plan, &task.namespace, &task.template, task.priority, &task.idempotency_key)
    }))
}

/// `[task, context, tags]`
pub(crate) fn task_inputs(tasks: &[(TaskId, &NewTask)]) -> Result<String> {
    let mut items = Vec::with_capacity(tasks.len());
    for (id, task) in tasks {
        items.push((id, task.context.as_str(), text(&task.tags)?));
    }
    array(items)
}

/// `[step, plan, parents, priority, start_at, external]`
pub(crate) fn new_steps(tasks: &[(TaskId, &NewTask)]) -> Result<String> {
    let mut items = Vec::with_capacity(tasks.iter().map(|(_, task)| task.parents.len()).sum());
    for (id, task) in tasks {
        let mut external = task.external.iter().peekable();
        for (position, parents) in task.parents.iter().enumerate() {
            let position = u16::try_from(position).map_err(|_| too_many_steps(task))?;
            let handler = external.next_if(|(at, _)| *at == position).map(|(_, handler)| handler);
            let step = StepId::new(*id, position);
            items.push((step, task.plan, parents, task.priority, task.start_at, handler));
        }
    }
    array(items)
}

fn too_many_steps(task: &NewTask) -> StoreError {
    let steps = task.parents.len();
    StoreError::Inconsistent(format!(
        "plan {} has {steps} steps; at most {} fit",
        task.plan,
        StepId::STEPS_MAX
    ))
}

/// `[step, attempt, batch]`
pub(crate) fn leases(ids: &[BatchId], batches: &[NewBatch]) -> Result<String> {
    let leases = ids.iter().zip(batches);
    array(leases.flat_map(|(id, batch)| batch.steps.iter().map(move |(step, attempt)| (step, attempt, id))))
}

/// `[step, attempt, batch, output]`
pub(crate) fn outputs(attempts: &[CompletedAttempt]) -> Result<String> {
    array(attempts.iter().map(|done| (done.key.step, done.key.attempt, done.key.batch, done.output.as_str())))
}

/// `[step, attempt, batch, digest, started_at, execution_us, cpu_us, memory_bytes_peak, log, usage]`
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
            line.usage.to_column(),
        )
    }))
}

/// `[step, attempt, batch, state, failures, losses, ready_at, status, failure, digest, started_at, execution_us, cpu_us,
/// memory_bytes_peak, log, usage]`
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
            line.usage.to_column(),
        ));
    }
    array(items)
}
