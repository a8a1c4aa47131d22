//! What a person may do to a task: cancel, retry, resolve, skip. Each deed is one transaction, noted with who and why.
//!
//! The legal moves are `stepwright_workflow`'s; here they are applied to the store, dependants and task included. A running
//! orchestrator notices by itself, and at once if it is woken.

use std::collections::HashMap;

use stepwright_store::{NewNote, NoteKind, Round, StepChange, StepRow, Store, StoreError};
use stepwright_workflow::graph::Graph;
use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::step::{self, IllegalStepMove, StepEvent, StepState};
use stepwright_workflow::task::{TaskState, settle};
use stepwright_workflow::{Payload, Plan, StepId, TaskId, Timestamp};

/// Who does something, and why. Kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

impl Deed {
    /// The line of the ledger that says so.
    pub(crate) fn note(&self, task: TaskId, step: Option<StepId>, verb: &str) -> NewNote {
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        NewNote {
            step,
            task: Some(task),
            batch: None,
            attempt: None,
            kind: NoteKind::Operator,
            detail: format!("{} {verb}{why}", self.who),
        }
    }
}

/// Why a deed was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such task.
    #[error("there is no task {0}")]
    NoTask(TaskId),
    /// The task has no such step.
    #[error("task {task} has no step '{step}'; it has {}", .steps.join(", "))]
    NoStep {
        /// The task.
        task: TaskId,
        /// What was asked for.
        step: String,
        /// What there is.
        steps: Vec<String>,
    },
    /// The task has no step in `error`.
    #[error("task {0} has no step in error, so there is nothing to retry")]
    NothingToRetry(TaskId),
    /// The step's state does not allow it.
    #[error("step '{step}': {illegal}")]
    IllegalStep {
        /// The step.
        step: String,
        /// Why not.
        illegal: IllegalStepMove,
    },
    /// The task's state does not allow it.
    #[error("task {task} is {state}, which is final")]
    Final {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
    },
    /// Somebody else moved the step at the same moment.
    #[error("step '{0}' was moved by somebody else at the same moment; look at it and try again")]
    Raced(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stops a task: no step is claimed any more, running ones are told to stop.
pub async fn cancel_task(
    store: &dyn Store,
    task: TaskId,
    deed: &Deed,
    now: Timestamp,
) -> Result<(), OperatorError> {
    let mut desk = Desk::open(store, task, now).await?;
    desk.unless_final()?;
    let open = |row: &&StepRow| !row.standing.state.finished_well();
    let steps: Vec<StepId> = desk.steps.iter().filter(open).map(|row| row.step).collect();
    desk.change(&steps, &StepEvent::TaskCancelled, None).await?;
    desk.close(TaskState::Cancelled, deed, "cancelled the task").await
}

/// Declares a task done, whatever its steps say; what runs is told to stop.
pub async fn resolve_task(
    store: &dyn Store,
    task: TaskId,
    deed: &Deed,
    now: Timestamp,
) -> Result<(), OperatorError> {
    let mut desk = Desk::open(store, task, now).await?;
    desk.unless_final()?;
    let open = |row: &&StepRow| !row.standing.state.finished_well();
    let steps: Vec<StepId> = desk.steps.iter().filter(open).map(|row| row.step).collect();
    desk.change(&steps, &StepEvent::TaskCancelled, None).await?;
    desk.close(TaskState::ResolvedManually, deed, "resolved the task").await
}

/// Gives steps in `error` another attempt, with their counts set back: the one named, or all of them. Returns their names.
pub async fn retry_step(
    store: &dyn Store,
    task: TaskId,
    step: Option<&str>,
    deed: &Deed,
    now: Timestamp,
) -> Result<Vec<String>, OperatorError> {
    let mut desk = Desk::open(store, task, now).await?;
    desk.unless_final()?;
    let steps = match step {
        Some(name) => vec![desk.find(name)?],
        None => desk
            .steps
            .iter()
            .filter(|row| row.standing.state == StepState::Error)
            .map(|row| row.step)
            .collect(),
    };
    if steps.is_empty() {
        return Err(OperatorError::NothingToRetry(task));
    }
    let names: Vec<String> = steps.iter().map(|step| desk.name(*step)).collect();
    desk.change(&steps, &StepEvent::RetryWanted, None).await?;
    desk.finish(&steps, deed, "retried").await?;
    Ok(names)
}

/// Gives a step this output in place of its handler's, and lets its dependants go on.
pub async fn resolve_step(
    store: &dyn Store,
    (task, step): (TaskId, &str),
    output: Payload,
    deed: &Deed,
    now: Timestamp,
) -> Result<(), OperatorError> {
    finish_by_hand(store, (task, step), (&StepEvent::Resolved, Some(output), "resolved"), deed, now).await
}

/// Lets a task go on without a step: its dependants read `null`.
pub async fn skip_step(
    store: &dyn Store,
    task: TaskId,
    step: &str,
    deed: &Deed,
    now: Timestamp,
) -> Result<(), OperatorError> {
    finish_by_hand(store, (task, step), (&StepEvent::Skipped, None, "skipped"), deed, now).await
}

async fn finish_by_hand(
    store: &dyn Store,
    (task, step): (TaskId, &str),
    (event, output, verb): (&StepEvent<'_>, Option<Payload>, &str),
    deed: &Deed,
    now: Timestamp,
) -> Result<(), OperatorError> {
    let mut desk = Desk::open(store, task, now).await?;
    desk.unless_final()?;
    let step = desk.find(step)?;
    desk.change(&[step], event, output).await?;
    desk.release(step).await?;
    desk.finish(&[step], deed, verb).await
}

/// One task in one transaction, before an operator.
struct Desk {
    tx: Box<dyn Round>,
    task: TaskId,
    state: TaskState,
    plan: Plan,
    steps: Vec<StepRow>,
    now: Timestamp,
}

impl Desk {
    async fn open(store: &dyn Store, task: TaskId, now: Timestamp) -> Result<Self, OperatorError> {
        let mut tx = store.round().await?;
        let (plan, state) = tx.task(task).await?.ok_or(OperatorError::NoTask(task))?;
        let missing = || StoreError::Inconsistent(format!("plan {plan} of task {task} is not stored"));
        let plan = tx.plan(plan).await?.ok_or_else(missing)?;
        let steps = tx.steps(task).await?;
        Ok(Self { tx, task, state, plan, steps, now })
    }

    fn unless_final(&self) -> Result<(), OperatorError> {
        if self.state.is_final() {
            return Err(OperatorError::Final { task: self.task, state: self.state });
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<StepId, OperatorError> {
        let position = self.plan.position(name).ok_or_else(|| OperatorError::NoStep {
            task: self.task,
            step: name.to_owned(),
            steps: self.plan.steps.iter().map(|step| step.name.clone()).collect(),
        })?;
        Ok(StepId::new(self.task, position))
    }

    fn name(&self, step: StepId) -> String {
        self.plan.step(step.position()).map_or_else(|| step.to_string(), |step| step.name.clone())
    }

    async fn change(
        &mut self,
        steps: &[StepId],
        event: &StepEvent<'_>,
        output: Option<Payload>,
    ) -> Result<(), OperatorError> {
        let mut changes = Vec::with_capacity(steps.len());
        let rows: HashMap<StepId, StepRow> = self.steps.iter().map(|row| (row.step, *row)).collect();
        for step in steps {
            let row =
                rows.get(step).ok_or_else(|| StoreError::Inconsistent(format!("step {step} has no row")))?;
            let moved = step::next(row.standing, &RetryPolicy::default(), event)
                .map_err(|illegal| OperatorError::IllegalStep { step: self.name(*step), illegal })?;
            changes.push(StepChange {
                step: *step,
                from: row.standing.state,
                to: moved.to,
                output: output.clone(),
            });
        }
        let moved = self.tx.change(&changes).await?;
        match steps.iter().find(|step| !moved.contains(step)) {
            Some(raced) => Err(OperatorError::Raced(self.name(*raced))),
            None => Ok(()),
        }
    }

    async fn release(&mut self, step: StepId) -> Result<(), OperatorError> {
        let graph = Graph::of_plan(&self.plan);
        let children =
            graph.children(step.position()).iter().map(|child| (StepId::new(self.task, *child), 1));
        let children: Vec<(StepId, u32)> = children.collect();
        self.tx.release(&children).await?;
        Ok(())
    }

    /// Settles the task by its steps, notes the deed for each step, and commits.
    async fn finish(mut self, steps: &[StepId], deed: &Deed, verb: &str) -> Result<(), OperatorError> {
        for (task, from, counts) in self.tx.count_steps(&[self.task]).await? {
            let to = settle(from, counts);
            if from != to {
                self.tx.settle(&[(task, from, to)], self.now).await?;
            }
        }
        let notes: Vec<NewNote> = steps.iter().map(|step| deed.note(self.task, Some(*step), verb)).collect();
        self.tx.note(&notes, self.now).await?;
        self.tx.commit().await?;
        Ok(())
    }

    /// Ends the task as such, notes the deed, and commits.
    async fn close(mut self, to: TaskState, deed: &Deed, verb: &str) -> Result<(), OperatorError> {
        self.tx.settle(&[(self.task, self.state, to)], self.now).await?;
        let mut notes = vec![deed.note(self.task, None, verb)];
        notes.extend(self.steps.iter().filter(|row| row.standing.state.is_leased()).map(revoked));
        self.tx.note(&notes, self.now).await?;
        self.tx.commit().await?;
        Ok(())
    }
}

/// An attempt under way, of which nothing will be applied any more.
fn revoked(row: &StepRow) -> NewNote {
    NewNote {
        step: Some(row.step),
        task: Some(row.step.task()),
        batch: row.batch,
        attempt: Some(row.attempt),
        kind: NoteKind::LeaseLost,
        detail: "the lease was revoked with the task, and the worker is told to stop".to_owned(),
    }
}
