//! Pausing and resuming: marks under which nothing new is claimed, while what runs may finish.
//!
//! ```text
//!   pause ─▶ mark ◀── the claim that meets a covered step sets it aside
//!   resume ─▶ mark gone, and what nothing else covers is put back, in the same transaction as far as it fits
//! ```
//!
//! A claim that has read the marks keeps them from being taken away until it has committed, so what it set aside is seen by
//! whoever resumes. What a crash between two transactions leaves aside is found by the audit.

use stepwright_store::{PauseRecord, ReadyStep, Round, Store, StoreError};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{StepId, TaskId, Timestamp};

use crate::operator::{Deed, OperatorError};
use crate::plans::{PlanEntry, Plans};

/// Steps put back in one transaction: few enough that no other writer waits long.
const STEPS_AT_ONCE: u32 = 1_000;

/// Whether one of the pauses covers the step.
pub(crate) fn covered(pauses: &[PauseRecord], step: StepId, entry: &PlanEntry) -> Result<bool, StoreError> {
    let planned = entry.step(step)?;
    Ok(pauses.iter().any(|pause| pause.target.covers(step.task(), &entry.plan, planned)))
}

/// Lets nothing new begin under this target. Returns whether that is new.
///
/// Fails with [`OperatorError::NoTask`] or [`OperatorError::Final`] for a task that is not there or will never go on.
pub async fn pause(
    store: &dyn Store,
    target: &PauseTarget,
    deed: &Deed,
    now: Timestamp,
) -> Result<bool, OperatorError> {
    let mut tx = store.round().await?;
    if let PauseTarget::Task(task) = target {
        unless_final(&mut *tx, *task).await?;
    }
    let pause =
        PauseRecord { target: target.clone(), since: now, who: deed.who.clone(), why: deed.why.clone() };
    let new = tx.pause(&pause).await?;
    if let (true, PauseTarget::Task(task)) = (new, target) {
        tx.note(&[deed.note(*task, None, "paused the task")], now).await?;
    }
    tx.commit().await?;
    Ok(new)
}

/// Lets this target go on. Returns whether it was paused.
pub async fn resume(
    store: &dyn Store,
    target: &PauseTarget,
    deed: &Deed,
    now: Timestamp,
) -> Result<bool, OperatorError> {
    let mut tx = store.round().await?;
    let mut lifted = lift(&mut *tx, target, now).await?;
    if let (true, PauseTarget::Task(task)) = (lifted.was_paused, target) {
        tx.note(&[deed.note(*task, None, "resumed the task")], now).await?;
    }
    tx.commit().await?;
    put_back_rest(store, &mut lifted).await?;
    Ok(lifted.was_paused)
}

/// A pause that was taken away, and how far what it had set aside was put back.
pub(crate) struct Lifted {
    pub(crate) was_paused: bool,
    plans: Plans,
    next: Option<StepId>,
}

/// Takes a pause away within a transaction, and puts back what fits into it; see [`put_back_rest`].
pub(crate) async fn lift(
    tx: &mut dyn Round,
    target: &PauseTarget,
    now: Timestamp,
) -> Result<Lifted, StoreError> {
    let mut plans = Plans::default();
    let was_paused = tx.resume(target, now).await?;
    if let PauseTarget::Digest(digest) = target {
        // Whoever resumes a component trusts it again.
        tx.acquit(&[*digest]).await?;
    }
    let next = put_back(tx, &mut plans, StepId(0)).await?;
    Ok(Lifted { was_paused, plans, next })
}

/// Puts back the rest, in transactions of its own.
pub(crate) async fn put_back_rest(store: &dyn Store, lifted: &mut Lifted) -> Result<(), StoreError> {
    while let Some(after) = lifted.next {
        let mut tx = store.round().await?;
        lifted.next = put_back(&mut *tx, &mut lifted.plans, after).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Puts back what nothing covers among the steps set aside beyond `after`. Returns where to go on, if there may be more.
async fn put_back(
    tx: &mut dyn Round,
    plans: &mut Plans,
    after: StepId,
) -> Result<Option<StepId>, StoreError> {
    let aside = tx.parked(after, STEPS_AT_ONCE).await?;
    let pauses = tx.pauses().await?;
    let mut free = Vec::new();
    for ReadyStep { step, plan, .. } in &aside {
        let entry = plans.get(tx, *plan).await?;
        if !covered(&pauses, *step, &entry)? {
            free.push(*step);
        }
    }
    tx.park(&free, false).await?;
    let full = aside.len() as u64 == u64::from(STEPS_AT_ONCE);
    Ok(aside.last().filter(|_| full).map(|last| last.step))
}

async fn unless_final(tx: &mut dyn Round, task: TaskId) -> Result<(), OperatorError> {
    match tx.task(task).await? {
        None => Err(OperatorError::NoTask(task)),
        Some((_, state)) if state.is_final() => Err(OperatorError::Final { task, state }),
        Some(_) => Ok(()),
    }
}
