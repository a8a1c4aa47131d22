//! Events: what every transition leaves behind for whoever follows along.
//!
//! A round notes what its statements changed, and its commit writes one row of events, in the order in which they happened; so an
//! event exists exactly if its transition does. A row keeps ids and no names: those are looked up when it is read.
//!
//! Rows are numbered. Whoever reads them in the order of their numbers misses none: a store hands out a row only once nobody can
//! commit one with a smaller number any more.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{AttemptKey, BatchId, Digest, PlanId, StepId, TaskId, Timestamp, WorkerId};

use crate::column::{json, text};
use crate::plugin::{NewPlugin, PluginChange, PluginState};
use crate::record::{
    AttemptStatus, BatchEnd, ClosedBatch, Created, EndedAttempt, NewBatch, NewNote, NewTask, NewTemplate,
    NewWorker, NoteKind, RunningAttempt, WorkerState,
};
use crate::{Result, StepChange};

/// The events of the whole database, in the order of their rows.
#[async_trait]
pub trait Events {
    /// Up to `limit` rows beyond the one numbered `after`, in order; with a task only those that may be about it.
    async fn events(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<EventPage>;
    /// The last row that may be read, and the first that is still kept.
    async fn event_bounds(&self) -> Result<EventBounds>;
    /// The number of the first row at or beyond this number, and when it was written.
    async fn event_row(&self, from: i64) -> Result<Option<(i64, Timestamp)>>;
    /// Removes up to `limit` of the oldest rows that were written before `until`, but never the last. Returns how many.
    async fn remove_events(&self, until: Timestamp, limit: u32) -> Result<u64>;
    /// What these tasks run; those that are gone are left out.
    async fn plans_of(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, PlanId)>>;
}

/// Some rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventPage {
    /// In the order of their numbers.
    pub rows: Vec<EventRow>,
    /// There are more, but other transactions have to end before they may be read: that is a matter of milliseconds.
    pub withheld: bool,
}

/// The events of one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number.
    pub id: i64,
    /// When the transaction was made.
    pub at: Timestamp,
    /// What happened in it, in order.
    pub content: Vec<Happening>,
}

impl EventRow {
    /// Reads back what [`EventLog::take`] wrote.
    pub fn read(id: i64, at: i64, content: &str) -> Result<Self> {
        Ok(Self { id, at: Timestamp(at), content: json("events.content", content)? })
    }
}

/// From where to where events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventBounds {
    /// The first row; 0 if there is none.
    pub oldest: i64,
    /// The last row that may be read; 0 if there is none.
    pub newest: i64,
}

/// What one statement changed. The names are short, since they are stored with every row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happening {
    /// Tasks were created.
    #[serde(rename = "init")]
    Initialized(Vec<(TaskId, PlanId)>),
    /// The first steps of tasks were leased.
    #[serde(rename = "start")]
    Started(Vec<TaskId>),
    /// Tasks went over to another state.
    #[serde(rename = "task")]
    Settled(Vec<(TaskId, TaskState)>),
    /// Steps became claimable.
    #[serde(rename = "via")]
    Viable(Vec<StepId>),
    /// A batch was made, and its attempts with it.
    #[serde(rename = "pub")]
    Published(BatchId, WorkerId, Vec<(StepId, u32)>),
    /// Workers told of attempts under way: how far each is, from 0 to 1, and in which words.
    #[serde(rename = "prog")]
    Progress(Vec<(StepId, u32, Option<f64>, Option<String>)>),
    /// Attempts completed.
    #[serde(rename = "comp")]
    Completed(Vec<(StepId, u32)>),
    /// Attempts ended otherwise.
    #[serde(rename = "end")]
    Ended(Vec<Ended>),
    /// An operator moved steps.
    #[serde(rename = "step")]
    Moved(Vec<(StepId, StepState)>),
    /// The books of batches were closed.
    #[serde(rename = "close")]
    Closed(Vec<(BatchId, BatchEnd)>),
    /// Completions differed from what had been applied.
    #[serde(rename = "disc")]
    Discrepancy(Vec<Differing>),
    /// A worker joined, with its name.
    #[serde(rename = "join")]
    Joined(WorkerId, String),
    /// Workers left, or were lost.
    #[serde(rename = "gone")]
    Gone(Vec<(WorkerId, WorkerState)>),
    /// Something was paused: what kind of thing, and its name.
    #[serde(rename = "pause")]
    Paused(String, String),
    /// It is paused no longer.
    #[serde(rename = "resume")]
    Resumed(String, String),
    /// A plugin version was registered: `namespace/name`, version, digest.
    #[serde(rename = "plugin")]
    PluginRegistered(String, String, Digest),
    /// Versions of a plugin have another state.
    #[serde(rename = "plugins")]
    PluginsChanged(String, Vec<String>, PluginState),
    /// A template version was registered: namespace, name, version.
    #[serde(rename = "template")]
    TemplateRegistered(String, String, String),
}

/// What differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// The task, where there is one.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The step, where there is one.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The attempt, where there is one.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The batch, where there is one.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// In words; many are cut.
    #[serde(rename = "d")]
    pub detail: String,
}

/// An attempt that did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The step.
    #[serde(rename = "s")]
    pub step: StepId,
    /// Which attempt.
    #[serde(rename = "a")]
    pub attempt: u32,
    /// How it ended.
    #[serde(rename = "h")]
    pub status: AttemptStatus,
    /// Where that left the step.
    #[serde(rename = "t")]
    pub to: StepState,
    /// From when it may be claimed again, if it must wait.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// The failure's class.
    #[serde(rename = "c")]
    pub class: String,
    /// The handler's own code.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, in a sentence; a long one is cut.
    #[serde(rename = "m")]
    pub message: String,
}

/// Characters of a failure's sentence, or of a detail, that an event keeps. All of it is in the ledger.
const WORDS_MAX: usize = 300;

/// What a round has noted so far. Its statements are the only ones that write transitions, so none is missed.
#[derive(Debug, Default)]
pub struct EventLog {
    content: Vec<Happening>,
    /// The first and the last task that anything is about.
    tasks: Option<(TaskId, TaskId)>,
    /// The last moment that a statement was told of.
    at: Option<Timestamp>,
}

/// A row of events to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvents {
    /// The first task that anything is about, if any.
    pub first_task: Option<i64>,
    /// The last one.
    pub last_task: Option<i64>,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What happened, as JSON.
    pub content: String,
}

impl EventLog {
    /// What is noted from now on happens at this moment.
    pub fn at(&mut self, now: Timestamp) -> &mut Self {
        self.at = Some(now);
        self
    }

    /// The row of what was noted, if anything was; the log is empty then.
    pub fn take(&mut self) -> Result<Option<NewEvents>> {
        if self.content.is_empty() {
            return Ok(None);
        }
        let content = text(&std::mem::take(&mut self.content))?;
        let tasks = self.tasks.take();
        Ok(Some(NewEvents {
            first_task: tasks.map(|(first, _)| first.0),
            last_task: tasks.map(|(_, last)| last.0),
            at: self.at.unwrap_or(Timestamp(0)).0,
            content,
        }))
    }

    fn about(&mut self, task: TaskId) {
        let (first, last) = self.tasks.unwrap_or((task, task));
        self.tasks = Some((first.min(task), last.max(task)));
    }

    fn push<T>(&mut self, items: Vec<T>, task: impl Fn(&T) -> Option<TaskId>, wrap: fn(Vec<T>) -> Happening) {
        if items.is_empty() {
            return;
        }
        items.iter().filter_map(task).for_each(|task| self.about(task));
        self.content.push(wrap(items));
    }

    /// Tasks were created; first steps that need not wait are claimable.
    pub fn created(&mut self, tasks: &[NewTask], created: &[Created]) {
        let mut viable = Vec::new();
        let mut initialized = Vec::new();
        for (new, created) in tasks.iter().zip(created).filter(|(_, created)| !created.existing) {
            initialized.push((created.task, new.plan));
            if new.start_at.is_none() {
                let first = (0..).zip(new.parents.iter()).filter(|(_, parents)| **parents == 0);
                viable.extend(first.map(|(position, _)| StepId::new(created.task, position)));
            }
        }
        self.push(initialized, |(task, _)| Some(*task), Happening::Initialized);
        self.viable(viable);
    }

    /// Steps became claimable.
    pub fn viable(&mut self, steps: Vec<StepId>) {
        self.push(steps, |step| Some(step.task()), Happening::Viable);
    }

    /// Batches were made. `started` are tasks that were `pending` until then.
    pub fn leased(&mut self, ids: &[BatchId], batches: &[NewBatch], started: Vec<TaskId>) {
        self.push(started, |task| Some(*task), Happening::Started);
        for (id, batch) in ids.iter().zip(batches) {
            batch.steps.iter().for_each(|(step, _)| self.about(step.task()));
            self.content.push(Happening::Published(*id, batch.worker, batch.steps.clone()));
        }
    }

    /// Of these attempts, those whose lease stands and that said something told how far they are.
    pub fn progressed(&mut self, running: &[RunningAttempt], standing: &[(StepId, i64)]) {
        let standing: HashSet<&(StepId, i64)> = standing.iter().collect();
        let told = running.iter().filter(|running| {
            (running.fraction.is_some() || running.note.is_some())
                && standing.contains(&(running.key.step, i64::from(running.key.attempt)))
        });
        let told = told.map(|running| {
            (running.key.step, running.key.attempt, running.fraction, running.note.as_deref().map(cut))
        });
        self.push(told.collect(), |(step, ..)| Some(step.task()), Happening::Progress);
    }

    /// Attempts completed.
    pub fn completed(&mut self, applied: impl Iterator<Item = AttemptKey>) {
        let applied = applied.map(|key| (key.step, key.attempt)).collect();
        self.push(applied, |(step, _)| Some(step.task()), Happening::Completed);
    }

    /// Of these attempts, those that were applied ended otherwise.
    pub fn ended(&mut self, attempts: &[EndedAttempt], applied: &[AttemptKey]) {
        let applied: HashSet<&AttemptKey> = applied.iter().collect();
        let ended: Vec<Ended> =
            attempts.iter().filter(|ended| applied.contains(&ended.key)).map(Ended::of).collect();
        let waits_for_nothing = |ended: &&Ended| ended.to == StepState::Ready && ended.ready_at.is_none();
        let viable = ended.iter().filter(waits_for_nothing).map(|ended| ended.step).collect();
        self.push(ended, |ended| Some(ended.step.task()), Happening::Ended);
        self.viable(viable);
    }

    /// Of these tasks, those that were moved went over to another state.
    pub fn settled(&mut self, tasks: &[(TaskId, TaskState, TaskState)], moved: &[TaskId]) {
        let moved: HashSet<&TaskId> = moved.iter().collect();
        let tasks = tasks.iter().filter(|(task, ..)| moved.contains(task));
        let tasks = tasks.map(|(task, _, to)| (*task, *to)).collect();
        self.push(tasks, |(task, _)| Some(*task), Happening::Settled);
    }

    /// An operator moved these steps.
    pub fn moved(&mut self, changes: &[StepChange], moved: &[StepId]) {
        let moved: HashSet<&StepId> = moved.iter().collect();
        let changes = changes.iter().filter(|change| moved.contains(&change.step));
        let changes: Vec<(StepId, StepState)> =
            changes.map(|change| (change.step, change.to.state)).collect();
        let ready = changes.iter().filter(|(_, state)| *state == StepState::Ready);
        let viable = ready.map(|(step, _)| *step).collect();
        self.push(changes, |(step, _)| Some(step.task()), Happening::Moved);
        self.viable(viable);
    }

    /// Of these batches, those that were open until then are closed.
    pub fn closed(&mut self, batches: &[ClosedBatch], were_open: &[BatchId]) {
        let were_open: HashSet<&BatchId> = were_open.iter().collect();
        let ends = batches.iter().filter(|closed| were_open.contains(&closed.batch));
        let ends = ends.map(|closed| (closed.batch, closed.end)).collect();
        self.push(ends, |_| None, Happening::Closed);
    }

    /// Of these notes, those that tell of a discrepancy.
    pub fn noted(&mut self, notes: &[NewNote]) {
        let differ = notes.iter().filter(|note| note.kind == NoteKind::Discrepancy);
        let differ = differ.map(|note| Differing {
            task: note.task,
            step: note.step,
            attempt: note.attempt,
            batch: note.batch,
            detail: cut(&note.detail),
        });
        self.push(differ.collect(), |differing| differing.task, Happening::Discrepancy);
    }

    /// A worker joined.
    pub fn joined(&mut self, id: WorkerId, worker: &NewWorker) {
        self.content.push(Happening::Joined(id, worker.name.clone()));
    }

    /// Of these workers, those that ended left or were lost.
    pub fn gone(&mut self, workers: &[(WorkerId, WorkerState)], ended: &[WorkerId]) {
        let gone = workers.iter().filter(|(worker, _)| ended.contains(worker)).copied().collect();
        self.push(gone, |_| None, Happening::Gone);
    }

    /// Something was paused, or is no longer.
    pub fn paused(&mut self, target: &PauseTarget, paused: bool) {
        if let PauseTarget::Task(task) = target {
            self.about(*task);
        }
        let wrap = if paused { Happening::Paused } else { Happening::Resumed };
        self.content.push(wrap(target.scope().as_str().to_owned(), target.name()));
    }

    /// A plugin version was registered.
    pub fn plugin_registered(&mut self, plugin: &NewPlugin) {
        let registered =
            Happening::PluginRegistered(plugin.name.clone(), plugin.version.clone(), plugin.digest);
        self.content.push(registered);
    }

    /// Versions of a plugin have another state.
    pub fn plugins_changed(&mut self, change: &PluginChange) {
        let changed = Happening::PluginsChanged(change.name.clone(), change.versions.clone(), change.to);
        self.content.push(changed);
    }

    /// A template version was registered.
    pub fn template_registered(&mut self, template: &NewTemplate) {
        let NewTemplate { namespace, name, version, .. } = template.clone();
        self.content.push(Happening::TemplateRegistered(namespace, name, version));
    }
}

impl Ended {
    fn of(ended: &EndedAttempt) -> Self {
        Self {
            step: ended.key.step,
            attempt: ended.key.attempt,
            status: ended.status,
            to: ended.to.state,
            ready_at: ended.ready_at,
            class: ended.failure.class.as_str().to_owned(),
            code: ended.failure.code.as_deref().map(cut),
            message: cut(&ended.failure.message),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}
