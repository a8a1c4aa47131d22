//! Events as they are told: one for each thing that happened, with names in place of ids.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use stepwright_store::event::{Differing, Ended};
use stepwright_store::{AttemptStatus, BatchEnd, EventRow, Happening, PluginState, WorkerState};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, StepId, TaskId, Timestamp, WorkerId};

use super::name::EventName;

/// Where an event stands among all events: the row that its transaction wrote, and its place in it.
///
/// Written as `ROW-PLACE`. Events of one task come in the order in which they happened to it, and positions grow along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The row, counted from 1.
    pub row: i64,
    /// The place in the row, counted from 0.
    pub place: u32,
}

impl Position {
    /// Before every event.
    pub const START: Self = Self { row: 0, place: u32::MAX };

    /// The first row that has anything behind it.
    pub(super) fn needed(self) -> i64 {
        if self.place == u32::MAX { self.row.saturating_add(1) } else { self.row }
    }

    /// After the last event of a row.
    pub fn after_row(row: i64) -> Self {
        Self { row, place: u32::MAX }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            u32::MAX => write!(f, "{}", self.row),
            place => write!(f, "{}-{place}", self.row),
        }
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    /// `ROW-PLACE` is an event's own position, and `ROW` all of that row; 0 is before everything.
    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.to_owned());
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return Err(bad());
        }
        let (row, place) = match text.split_once('-') {
            Some((row, place)) => (row, place.parse().map_err(|_| bad())?),
            None => (text, u32::MAX),
        };
        Ok(Self { row: row.parse().map_err(|_| bad())?, place })
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no position; an event's position looks like 1234-5, and 0 is before every event")]
pub struct BadPosition(String);

/// One event. What does not belong to its name is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Where it stands among all events.
    pub position: Position,
    /// What it tells.
    pub event: EventName,
    /// When, in milliseconds since 1970.
    pub at: Timestamp,
    /// The task, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Its template's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    /// Its template's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Arc<str>>,
    /// Its template's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The step's name, if it is about one and the task is still kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<str>>,
    /// Which attempt, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// The worker's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// More, by name.
    #[serde(flatten)]
    pub more: More,
}

/// What only some events tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct More {
    /// `step.progress`: how much is done, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// `step.progress`: in the handler's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `step.failed`: the failure's class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `step.failed`: the handler's own code, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `step.failed`: why; at most 300 characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `step.failed`: whether the step will be tried again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<bool>,
    /// `step.retry_scheduled`: from when it may be claimed; at once without this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// `batch.published`: how many steps it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// `batch.reconciled`: whether a completion differed from a partial result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrepancy: Option<bool>,
    /// `batch.discrepancy`: what differed; at most 300 characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `worker.joined`: its name. `pause.*`: the name of what is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `pause.*`: what kind of thing: `task`, `template`, `namespace`, `plugin` or `digest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// `plugin.*`: `namespace/name@version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// `plugin.registered`: the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What is known of the tasks that a row is about.
pub(super) type Plans = HashMap<TaskId, Arc<Plan>>;

/// The tasks that a row is about.
pub(super) fn tasks(row: &EventRow) -> Vec<TaskId> {
    let mut tasks: Vec<TaskId> = Vec::new();
    for happening in &row.content {
        match happening {
            Happening::Viable(steps) => tasks.extend(steps.iter().map(|step| step.task())),
            Happening::Published(_, _, steps) | Happening::Completed(steps) => {
                tasks.extend(steps.iter().map(|(step, _)| step.task()));
            }
            Happening::Progress(steps) => tasks.extend(steps.iter().map(|(step, ..)| step.task())),
            Happening::Ended(steps) => tasks.extend(steps.iter().map(|ended| ended.step.task())),
            Happening::Moved(steps) => tasks.extend(steps.iter().map(|(step, _)| step.task())),
            Happening::Initialized(list) => tasks.extend(list.iter().map(|(task, _)| *task)),
            Happening::Started(list) => tasks.extend(list),
            Happening::Settled(list) => tasks.extend(list.iter().map(|(task, _)| *task)),
            Happening::Discrepancy(list) => tasks.extend(list.iter().filter_map(|differing| differing.task)),
            Happening::Paused(scope, name) | Happening::Resumed(scope, name) if scope == "task" => {
                tasks.extend(name.parse::<TaskId>());
            }
            _ => {}
        }
    }
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}

/// The events of a row, in order. Their number and order are the row's alone: positions stay as they are.
pub(super) fn tell(row: &EventRow, plans: &Plans) -> Vec<Event> {
    let mut told = Teller { row, plans, events: Vec::new() };
    row.content.iter().for_each(|happening| told.tell(happening));
    told.events
}

struct Teller<'a> {
    row: &'a EventRow,
    plans: &'a Plans,
    events: Vec<Event>,
}

impl Teller<'_> {
    fn tell(&mut self, happening: &Happening) {
        use EventName as Name;
        match happening {
            Happening::Initialized(tasks) => {
                tasks.iter().for_each(|(task, _)| _ = self.task(Name::TaskInitialized, *task));
            }
            Happening::Started(tasks) => {
                tasks.iter().for_each(|task| _ = self.task(Name::TaskStarted, *task));
            }
            Happening::Settled(tasks) => {
                tasks.iter().for_each(|(task, state)| _ = self.task(settled(*state), *task));
            }
            Happening::Viable(steps) => steps.iter().for_each(|step| _ = self.step(Name::StepViable, *step)),
            Happening::Published(batch, worker, steps) => self.published((*batch, *worker), steps),
            Happening::Progress(told) => {
                for (step, attempt, fraction, note) in told {
                    let event = self.attempt(Name::StepProgress, *step, *attempt);
                    (event.more.fraction, event.more.note) = (*fraction, note.clone());
                }
            }
            Happening::Completed(steps) => {
                steps
                    .iter()
                    .for_each(|(step, attempt)| _ = self.attempt(Name::StepCompleted, *step, *attempt));
            }
            Happening::Ended(ended) => ended.iter().for_each(|ended| self.ended(ended)),
            Happening::Moved(steps) => {
                steps.iter().for_each(|(step, state)| _ = self.step(moved(*state), *step));
            }
            Happening::Closed(batches) => {
                batches.iter().for_each(|(batch, end)| self.closed(*batch, *end));
            }
            Happening::Discrepancy(notes) => {
                for Differing { task, step, attempt, batch, detail } in notes {
                    let event = match (step, task) {
                        (Some(step), _) => self.step(Name::BatchDiscrepancy, *step),
                        (None, Some(task)) => self.task(Name::BatchDiscrepancy, *task),
                        (None, None) => self.event(Name::BatchDiscrepancy),
                    };
                    (event.attempt, event.batch) = (*attempt, *batch);
                    event.more.detail = Some(detail.clone());
                }
            }
            Happening::Joined(worker, name) => {
                let event = self.event(Name::WorkerJoined);
                (event.worker, event.more.name) = (Some(*worker), Some(name.clone()));
            }
            Happening::Gone(workers) => {
                for (worker, state) in workers {
                    let name = match state {
                        WorkerState::Joined => Name::WorkerJoined,
                        WorkerState::Left => Name::WorkerLeft,
                        WorkerState::Lost => Name::WorkerLost,
                    };
                    self.event(name).worker = Some(*worker);
                }
            }
            Happening::Paused(scope, name) => self.pause(Name::PauseBegun, scope, name),
            Happening::Resumed(scope, name) => self.pause(Name::PauseEnded, scope, name),
            Happening::PluginRegistered(name, version, digest) => {
                let event = self.event(Name::PluginRegistered);
                event.more.plugin = Some(format!("{name}@{version}"));
                event.more.digest = Some(digest.to_string());
            }
            Happening::PluginsChanged(name, versions, state) => {
                for version in versions {
                    self.event(plugin(*state)).more.plugin = Some(format!("{name}@{version}"));
                }
            }
            Happening::TemplateRegistered(namespace, name, version) => {
                let event = self.event(Name::TemplateRegistered);
                event.namespace = Some(namespace.as_str().into());
                event.template = Some(name.as_str().into());
                event.version = Some(version.as_str().into());
            }
        }
    }

    fn event(&mut self, event: EventName) -> &mut Event {
        let place = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        self.events.push(Event {
            position: Position { row: self.row.id, place },
            event,
            at: self.row.at,
            task: None,
            namespace: None,
            template: None,
            version: None,
            step: None,
            attempt: None,
            batch: None,
            worker: None,
            more: More::default(),
        });
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn task(&mut self, name: EventName, task: TaskId) -> &mut Event {
        let plan = self.plans.get(&task).cloned();
        let event = self.event(name);
        event.task = Some(task);
        if let Some(plan) = plan {
            event.namespace = Some(plan.namespace.as_str().into());
            event.template = Some(plan.name.as_str().into());
            event.version = Some(plan.version.as_str().into());
        }
        event
    }

    fn step(&mut self, name: EventName, step: StepId) -> &mut Event {
        let plan = self.plans.get(&step.task()).cloned();
        let event = self.task(name, step.task());
        event.step = plan.and_then(|plan| plan.step(step.position()).map(|step| step.name.as_str().into()));
        event
    }

    fn attempt(&mut self, name: EventName, step: StepId, attempt: u32) -> &mut Event {
        let event = self.step(name, step);
        event.attempt = Some(attempt);
        event
    }

    fn published(&mut self, (batch, worker): (BatchId, WorkerId), steps: &[(StepId, u32)]) {
        let event = self.event(EventName::BatchPublished);
        (event.batch, event.worker) = (Some(batch), Some(worker));
        event.more.steps = Some(steps.len());
        for (step, attempt) in steps {
            let event = self.attempt(EventName::StepStarted, *step, *attempt);
            (event.batch, event.worker) = (Some(batch), Some(worker));
        }
    }

    fn ended(&mut self, ended: &Ended) {
        let Ended { step, attempt, status, to, ready_at, class, code, message } = ended;
        let name = match (status, to) {
            (AttemptStatus::Completed, _) => EventName::StepCompleted,
            (_, StepState::Cancelled) => EventName::StepCancelled,
            _ => EventName::StepFailed,
        };
        let retries = *to == StepState::Ready;
        let event = self.attempt(name, *step, *attempt);
        event.more.class = Some(class.clone());
        event.more.code.clone_from(code);
        event.more.message = Some(message.clone());
        event.more.retries = Some(retries);
        if retries {
            self.attempt(EventName::StepRetryScheduled, *step, *attempt).more.retry_at = *ready_at;
        }
    }

    fn closed(&mut self, batch: BatchId, end: BatchEnd) {
        let name = if end == BatchEnd::Lost { EventName::BatchLost } else { EventName::BatchReconciled };
        let event = self.event(name);
        event.batch = Some(batch);
        if end != BatchEnd::Lost {
            event.more.discrepancy = Some(end == BatchEnd::Discrepancy);
        }
    }

    fn pause(&mut self, event: EventName, scope: &str, name: &str) {
        let task = (scope == "task").then(|| name.parse().ok()).flatten();
        let event = match task {
            Some(task) => self.task(event, task),
            None => self.event(event),
        };
        (event.more.scope, event.more.name) = (Some(scope.to_owned()), Some(name.to_owned()));
    }
}

fn settled(state: TaskState) -> EventName {
    match state {
        TaskState::Complete => EventName::TaskCompleted,
        TaskState::Error => EventName::TaskFailed,
        TaskState::Cancelled => EventName::TaskCancelled,
        TaskState::ResolvedManually => EventName::TaskResolvedManually,
        TaskState::Pending | TaskState::InProgress => EventName::TaskReopened,
    }
}

/// What an operator did to a step that stands there now.
fn moved(state: StepState) -> EventName {
    match state {
        StepState::Complete | StepState::ResolvedManually => EventName::StepResolvedManually,
        StepState::Skipped => EventName::StepSkipped,
        StepState::Cancelled => EventName::StepCancelled,
        StepState::Error => EventName::StepFailed,
        StepState::Pending | StepState::Ready | StepState::Leased | StepState::InProgress => {
            EventName::StepRetried
        }
    }
}

fn plugin(state: PluginState) -> EventName {
    match state {
        PluginState::Enabled => EventName::PluginEnabled,
        PluginState::Disabled => EventName::PluginDisabled,
        PluginState::Yanked => EventName::PluginYanked,
        PluginState::Quarantined => EventName::PluginQuarantined,
    }
}

#[cfg(test)]
mod tests;
