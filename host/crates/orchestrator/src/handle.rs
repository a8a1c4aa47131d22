//! How the rest of the process talks to a running orchestrator.

use std::sync::Arc;

use stepwright_store::{Created, NewTask, Store, StoreError};
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;
use tokio::sync::{mpsc, oneshot};

use crate::feed::Feed;
use crate::stats::{OrchestratorStats, Totals};

/// Requests waiting for the pump; beyond this, callers wait.
pub(crate) const COMMANDS_MAX: usize = 1_024;

pub(crate) enum Command {
    Wake,
    Start(Vec<NewTask>, StartReply),
    Settled(TaskId, Waiter),
}

/// Whoever asked for tasks: told when they exist, and if wanted when the first of them has settled.
pub(crate) struct StartReply {
    pub(crate) created: oneshot::Sender<Result<Vec<Created>, HandleError>>,
    pub(crate) settled: Option<oneshot::Sender<TaskState>>,
}

/// Whoever waits for a task: told once the pump knows of it, and when the task has settled.
pub(crate) struct Waiter {
    pub(crate) noted: oneshot::Sender<()>,
    pub(crate) settled: oneshot::Sender<TaskState>,
}

/// Why the orchestrator did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It is not running any more.
    #[error("the orchestrator has stopped")]
    Stopped,
    /// There is no such task.
    #[error("there is no task {0}")]
    NoTask(TaskId),
    /// The tasks were not created.
    #[error("failed to create the tasks: {0}")]
    NotCreated(String),
    /// The store failed.
    #[error("failed to read the task")]
    Store(#[from] StoreError),
}

/// A running orchestrator, for the same process. Cheap to clone.
#[derive(Clone)]
pub struct OrchestratorHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) feed: Arc<Feed>,
}

impl OrchestratorHandle {
    /// The events of its store, told as soon as its rounds have committed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Makes the pump look at the database now: somebody else has written to it. Only an accelerator; it looks by itself.
    pub fn wake(&self) {
        // A full queue means that the pump is about to run anyway.
        let _ = self.commands.try_send(Command::Wake);
    }

    /// Creates tasks in the pump's next round, so that their first steps are claimed by the same commit.
    pub async fn start(&self, tasks: Vec<NewTask>) -> Result<Vec<Created>, HandleError> {
        let (created, answer) = oneshot::channel();
        let reply = StartReply { created, settled: None };
        self.commands.send(Command::Start(tasks, reply)).await.map_err(|_| HandleError::Stopped)?;
        answer.await.map_err(|_| HandleError::Stopped)?
    }

    /// Creates one task and waits until it has settled, without asking the database in between.
    pub async fn run(&self, task: NewTask) -> Result<(Created, TaskState), HandleError> {
        let (created, answer) = oneshot::channel();
        let (settled, state) = oneshot::channel();
        let reply = StartReply { created, settled: Some(settled) };
        self.commands.send(Command::Start(vec![task], reply)).await.map_err(|_| HandleError::Stopped)?;
        let created = answer.await.map_err(|_| HandleError::Stopped)??;
        let first = *created.first().ok_or(HandleError::Stopped)?;
        if first.existing {
            return Ok((first, self.settled(first.task).await?));
        }
        Ok((first, state.await.map_err(|_| HandleError::Stopped)?))
    }

    /// Waits until the task is settled, and says how.
    pub async fn settled(&self, task: TaskId) -> Result<TaskState, HandleError> {
        let (settled, answer) = oneshot::channel();
        let (noted, known) = oneshot::channel();
        let waiter = Waiter { noted, settled };
        self.commands.send(Command::Settled(task, waiter)).await.map_err(|_| HandleError::Stopped)?;
        // Only once the pump has noted it is the state read: whatever changes afterwards is reported. A round that commits
        // between the two would otherwise be seen by neither.
        known.await.map_err(|_| HandleError::Stopped)?;
        let states = self.store.task_states(&[task]).await?;
        let (_, state) = states.first().ok_or(HandleError::NoTask(task))?;
        if state.is_settled() {
            return Ok(*state);
        }
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// Whether it runs no more.
    pub fn is_stopped(&self) -> bool {
        self.commands.is_closed()
    }

    /// Running totals.
    pub fn stats(&self) -> OrchestratorStats {
        self.totals.read()
    }
}
