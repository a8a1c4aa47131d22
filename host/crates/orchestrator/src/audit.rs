//! The audit of a database: finds what would be stuck, and puts it right. Bounded, since it goes on beside the work.

use serde::Serialize;
use stepwright_store::{
    AttemptLine, AttemptStatus, EndedAttempt, NewNote, NoteKind, PauseRecord, Round, Store, StoreError,
};
use stepwright_workflow::audit::{Finding, audit};
use stepwright_workflow::step::{self, StepEvent};
use stepwright_workflow::task::settle;
use stepwright_workflow::{AttemptKey, BatchId, Failure, FailureClass, Plan, StepId, TaskId, Timestamp};

use crate::plans::Plans;

/// A task that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// The task.
    pub task: TaskId,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// What one look found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// Unfinished tasks that were looked at.
    pub tasks: u64,
    /// Their steps.
    pub steps: u64,
    /// Those that contradict themselves.
    pub contradictions: Vec<Contradiction>,
    /// Where to go on; `None` once every unfinished task was looked at.
    pub next: Option<TaskId>,
}

/// Looks at the tasks of one store. Remembers the plans that it met, which never change.
#[derive(Debug, Default)]
pub struct Auditor {
    plans: Plans,
}

impl Auditor {
    /// Looks at up to `limit` unfinished tasks beyond `after`. Changes nothing.
    pub async fn look(
        &mut self,
        store: &dyn Store,
        after: TaskId,
        limit: u32,
    ) -> Result<Audited, StoreError> {
        let tasks = store.audit(after, limit).await?;
        let full = tasks.len() as u64 == u64::from(limit);
        let mut audited = Audited {
            tasks: tasks.len() as u64,
            steps: tasks.iter().map(|task| task.steps.len() as u64).sum(),
            contradictions: Vec::new(),
            next: tasks.last().filter(|_| full).map(|last| last.task),
        };
        // Only where a step is set aside do the pauses matter. They are read after it: one that was made meanwhile explains it.
        let aside = tasks.iter().flat_map(|task| &task.steps).any(|step| step.parked);
        let pauses = if aside { store.pauses().await? } else { Vec::new() };
        for task in tasks {
            let entry = self.plans.look_up(store, task.plan).await?;
            let covered = covering(&pauses, task.task, &entry.plan);
            let findings = audit(&entry.graph, task.state, &task.steps, &covered);
            if !findings.is_empty() {
                audited.contradictions.push(Contradiction { task: task.task, findings });
            }
        }
        Ok(audited)
    }
}

/// Puts one task right, in one transaction, by what it is then; whatever has been mended meanwhile is left alone. Returns what
/// was found and mended.
pub async fn repair(store: &dyn Store, task: TaskId, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
    let mut tx = store.round().await?;
    // Nobody else changes it from here on.
    if tx.task(task).await?.is_none() {
        return Ok(Vec::new());
    }
    let Some(audited) = tx.audit(task).await? else { return Ok(Vec::new()) };
    let entry = Plans::default().get(&mut *tx, audited.plan).await?;
    let pauses = tx.pauses().await?;
    let covered = covering(&pauses, task, &entry.plan);
    let mut mended = audit(&entry.graph, audited.state, &audited.steps, &covered);
    if mended.is_empty() {
        return Ok(mended);
    }
    mend(&mut *tx, &entry.plan, task, &mended, now).await?;
    // Only now can be said what the steps make of their task.
    for (task, from, counts) in tx.count_steps(&[task]).await? {
        let to = settle(from, counts);
        if from != to {
            tx.settle(&[(task, from, to)], now).await?;
            let known = mended.iter().any(|finding| matches!(finding, Finding::Unsettled { .. }));
            mended.extend((!known).then_some(Finding::Unsettled { state: from, should_be: to }));
        }
    }
    let notes: Vec<NewNote> = mended.iter().map(|finding| note(task, finding)).collect();
    tx.note(&notes, now).await?;
    tx.commit().await?;
    Ok(mended)
}

async fn mend(
    tx: &mut dyn Round,
    plan: &Plan,
    task: TaskId,
    findings: &[Finding],
    now: Timestamp,
) -> Result<(), StoreError> {
    let (mut recount, mut requeue, mut unpark, mut lost) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for finding in findings {
        match *finding {
            Finding::ParentsMiscounted { step, unfinished, .. } => {
                recount.push((StepId::new(task, step), unfinished));
            }
            Finding::NotQueued { step } | Finding::Queued { step, .. } => {
                requeue.push(StepId::new(task, step));
            }
            Finding::Parked { step } => unpark.push(StepId::new(task, step)),
            Finding::NotHeld { step } => lost.push(StepId::new(task, step)),
            Finding::Unsettled { .. } => {}
        }
    }
    tx.recount(&recount).await?;
    tx.requeue(&requeue).await?;
    tx.park(&unpark, false).await?;
    if lost.is_empty() {
        return Ok(());
    }
    let keys: Vec<AttemptKey> = tx
        .steps(task)
        .await?
        .into_iter()
        .filter(|row| lost.contains(&row.step))
        .map(|row| AttemptKey {
            step: row.step,
            attempt: row.attempt,
            batch: row.batch.unwrap_or(BatchId(0)),
        })
        .collect();
    let mut ended = Vec::new();
    for leased in tx.leased(&keys).await? {
        let step = plan.step(leased.key.step.position());
        let retry = step.map(|step| step.retry).unwrap_or_default();
        let moved = step::next(leased.standing, &retry, &StepEvent::Lost)
            .map_err(|illegal| StoreError::Inconsistent(format!("step {}: {illegal}", leased.key.step)))?;
        let failure = Failure::new(FailureClass::Lost, "the attempt was lost: nobody held it");
        ended.push(EndedAttempt {
            key: leased.key,
            to: moved.to,
            ready_at: None,
            status: AttemptStatus::Lost,
            failure: moved.failure.unwrap_or(failure),
            line: AttemptLine::default(),
        });
    }
    tx.end(&ended, now).await?;
    Ok(())
}

/// Whether a pause covers the step at a position.
fn covering(pauses: &[PauseRecord], task: TaskId, plan: &Plan) -> impl Fn(u16) -> bool {
    move |position| {
        let step = plan.step(position);
        step.is_some_and(|step| pauses.iter().any(|pause| pause.target.covers(task, plan, step)))
    }
}

fn note(task: TaskId, finding: &Finding) -> NewNote {
    let step = match *finding {
        Finding::ParentsMiscounted { step, .. }
        | Finding::NotQueued { step }
        | Finding::Queued { step, .. }
        | Finding::Parked { step }
        | Finding::NotHeld { step } => Some(StepId::new(task, step)),
        Finding::Unsettled { .. } => None,
    };
    NewNote {
        step,
        task: Some(task),
        batch: None,
        attempt: None,
        kind: NoteKind::Repaired,
        detail: format!("put right: {finding}"),
    }
}
