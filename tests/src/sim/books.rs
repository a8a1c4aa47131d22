//! The invariants, said a second time beside the store: what was committed may never be contradicted by what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stepwright_orchestrator::audit::Auditor;
use stepwright_store::{Created, NewBatch, StepChange, Store};
use stepwright_store_sqlite::SqliteStore;
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{AttemptKey, BatchId, Payload, StepId, TaskId, WorkerId};

/// The most steps that one worker may hold: what the workers of the simulation say in their hello.
pub(super) const CREDIT: u32 = 4;

/// Something that a transaction did.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Created(Created),
    Completed(AttemptKey, Payload),
    Ended(AttemptKey),
    Leased(BatchId, NewBatch),
    Settled(TaskId, TaskState),
    Changed(StepChange),
    Paused(PauseTarget, bool),
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(created) => write!(f, "task {} created", created.task),
            Self::Completed(AttemptKey { step, attempt, batch }, _) => {
                write!(f, "step {step} attempt {attempt} of batch {batch} completed")
            }
            Self::Ended(AttemptKey { step, attempt, batch }) => {
                write!(f, "step {step} attempt {attempt} of batch {batch} ended")
            }
            Self::Leased(id, batch) => {
                write!(f, "batch {id} for worker {}:", batch.worker)?;
                batch.steps.iter().try_for_each(|(step, attempt)| write!(f, " {step}/{attempt}"))
            }
            Self::Settled(task, state) => write!(f, "task {task} is {state}"),
            Self::Paused(target, true) => write!(f, "{target} is paused"),
            Self::Paused(target, false) => write!(f, "{target} goes on"),
            Self::Changed(change) => write!(f, "step {} is made {}", change.step, change.to.state),
        }
    }
}

/// A lease.
#[derive(Debug, Clone, Copy)]
struct Held {
    key: AttemptKey,
    worker: WorkerId,
    /// The orchestrator learned that it was granted. Otherwise it is found again as a stray, and takes no room.
    told: bool,
}

/// What is known to be durable.
#[derive(Clone, Default)]
pub(super) struct Books {
    pub(super) tasks: BTreeSet<TaskId>,
    /// Steps that finished well, with their outputs.
    pub(super) finished: BTreeMap<StepId, Payload>,
    pub(super) paused: BTreeSet<PauseTarget>,
    attempts: BTreeMap<StepId, u32>,
    held: BTreeMap<StepId, Held>,
    pub(super) violations: Vec<String>,
}

impl Books {
    /// Enters what became durable together; `told`: whoever did it will know. Returns what contradicts the books.
    pub(super) fn enter(&mut self, deeds: Vec<Deed>, told: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Created(created) => {
                    self.tasks.insert(created.task);
                }
                Deed::Leased(batch, NewBatch { worker, steps }) => {
                    for (step, attempt) in steps {
                        let before = self.attempts.insert(step, attempt).unwrap_or(0);
                        if attempt != before + 1 {
                            wrong.push(format!("step {step}: attempt {attempt} follows attempt {before}"));
                        }
                        if self.finished.contains_key(&step) {
                            wrong.push(format!("step {step} was leased after it had finished well"));
                        }
                        let pause = self.paused.iter().find(|pause| covers(pause, step.task()));
                        wrong.extend(
                            pause.map(|pause| format!("step {step} was leased, and {pause} is paused")),
                        );
                        let key = AttemptKey { step, attempt, batch };
                        if let Some(held) = self.held.insert(step, Held { key, worker, told }) {
                            wrong.push(format!("step {step} was leased twice: {held:?}, then {key:?}"));
                        }
                    }
                    let count = self.held.values().filter(|held| held.worker == worker && held.told).count();
                    if count > CREDIT as usize {
                        wrong.push(format!("worker {worker} holds {count} steps and has room for {CREDIT}"));
                    }
                }
                Deed::Completed(key, output) => {
                    wrong.extend(self.released(key));
                    if self.finished.insert(key.step, output).is_some() {
                        wrong.push(format!("step {} completed twice", key.step));
                    }
                }
                Deed::Ended(key) => wrong.extend(self.released(key)),
                Deed::Changed(change) => {
                    self.held.remove(&change.step);
                    if self.finished.contains_key(&change.step) {
                        wrong.push(format!("step {} had finished well, and was changed", change.step));
                    }
                    if change.to.state.finished_well() {
                        let output = change.output.unwrap_or_else(Payload::null);
                        self.finished.insert(change.step, output);
                    }
                }
                Deed::Paused(target, true) => drop(self.paused.insert(target)),
                Deed::Paused(target, false) => drop(self.paused.remove(&target)),
                Deed::Settled(..) => {}
            }
        }
        wrong
    }

    fn released(&mut self, key: AttemptKey) -> Option<String> {
        match self.held.remove(&key.step) {
            Some(held) if held.key == key => None,
            Some(held) => Some(format!("an outcome of {key:?} was applied to {held:?}")),
            None => Some(format!("an outcome of {key:?} was applied, and nobody held the step")),
        }
    }
}

/// Every plan of the simulation is of one namespace and runs one component.
fn covers(pause: &PauseTarget, task: TaskId) -> bool {
    match pause {
        PauseTarget::Task(paused) => *paused == task,
        PauseTarget::Namespace(_) | PauseTarget::Digest(_) => true,
        PauseTarget::Template { .. } | PauseTarget::Plugin(_) => false,
    }
}

/// The reconciler's proof over every unfinished task, as of now.
pub(super) async fn look(auditor: &mut Auditor, store: &SqliteStore) -> Vec<String> {
    let looked = auditor.look(store, TaskId(0), 1_000).await.expect("the audit reads");
    let each = looked.contradictions.into_iter().flat_map(|found| {
        found.findings.into_iter().map(move |finding| format!("task {}: {finding}", found.task))
    });
    each.collect()
}

/// The database at the end against the books: every task settled, nothing completed was lost or changed, no finished task has
/// an unfinished step.
pub(super) async fn close(store: &SqliteStore, books: &Books) -> Vec<String> {
    let mut wrong = Vec::new();
    for task in &books.tasks {
        let Some(record) = store.task(*task).await.expect("the task is read") else {
            wrong.push(format!("task {task} is gone"));
            continue;
        };
        let state = record.summary.state;
        if !state.is_settled() {
            wrong.push(format!("task {task} is stuck as {state}: {:#?}", record.steps_detail));
        }
        for step in &record.steps_detail {
            let kept = books.finished.get(&step.id);
            let well = step.state.finished_well();
            if state == TaskState::Complete && !well {
                wrong.push(format!("task {task} is complete, and its step {} is {}", step.name, step.state));
            }
            if well != kept.is_some() {
                wrong.push(format!(
                    "step {} of task {task} is {}; the books say finished well: {}",
                    step.name,
                    step.state,
                    kept.is_some()
                ));
            }
            let given = step.output.clone().unwrap_or_else(Payload::null);
            if step.state == StepState::Complete && kept.is_some_and(|kept| *kept != given) {
                wrong.push(format!("the output of step {} of task {task} was changed", step.name));
            }
        }
    }
    wrong
}
