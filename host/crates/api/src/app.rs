//! What every route is given, and what only the process around the API can do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use stepwright_orchestrator::catalog::PreparedTemplates;
use stepwright_orchestrator::feed::Feed;
use stepwright_orchestrator::webhooks::BadWebhook;
use stepwright_orchestrator::{HandleError, OrchestratorHandle};
use stepwright_store::{Created, NewTask, NewWebhook, Store, TaskRecord};
use stepwright_workflow::{Clock, Digest, TaskId, Timestamp};
use tokio::sync::{Semaphore, watch};

use crate::access::Gatekeeper;
use crate::code::Code;
use crate::limit::Limits;
use crate::options::ApiOptions;
use crate::problem::Problem;
use crate::view::{HistoryEvent, RegisteredPlugin};

/// How long a start may wait for the pump: it waits only while the database is away.
const START_MAX: Duration = Duration::from_secs(30);

/// How often a task is looked at that is waited for where there is no orchestrator in this process.
const LOOK: Duration = Duration::from_millis(500);

/// Components that are looked at at the same time: each may take a minute of CPU and two gigabytes.
const UPLOADS_MAX: usize = 1;

/// What only the process around the API can do: it has the sandbox, the registry's settings, and the sentences for people.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Looks at a component and registers it.
    async fn register(&self, upload: Upload) -> Result<RegisteredPlugin, RegisterError>;
    /// Draws a secret for a token.
    fn draw(&self) -> Result<Secret, String>;
    /// Draws a secret for a webhook.
    fn webhook_secret(&self) -> Result<String, String>;
    /// Checks a webhook that is to be made.
    fn check_webhook(&self, webhook: &NewWebhook) -> Result<(), BadWebhook>;
    /// Tells orchestrators, here and elsewhere, to look at the database now.
    async fn wake(&self);
    /// Everything that ever happened to a task, oldest first.
    async fn history(&self, task: &TaskRecord) -> Result<Vec<HistoryEvent>, Problem>;
}

/// A component that was sent.
#[derive(Debug)]
pub struct Upload {
    /// Its bytes.
    pub bytes: Bytes,
    /// A name in place of its own.
    pub name: Option<String>,
    /// A version in place of its own.
    pub version: Option<String>,
    /// Its signatures, as `plugin sign` wrote them.
    pub signatures: Option<String>,
}

/// Why a component was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It cannot be a plugin, or is not trusted.
    #[error("{0}")]
    Refused(String),
    /// The version is there with other bytes.
    #[error("{0}")]
    Exists(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] stepwright_store::StoreError),
    /// The place of plugins does not answer, for this reason.
    #[error("{0}")]
    Unavailable(String),
    /// The host failed.
    #[error("{0}")]
    Failed(String),
}

/// A new secret.
#[derive(Clone)]
pub struct Secret {
    /// The text, to be shown once.
    pub text: String,
    /// What is kept of it.
    pub hash: Digest,
}

/// What the API is made from.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The orchestrator of this process, if it has one.
    pub orchestrator: Option<OrchestratorHandle>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The rest of the process.
    pub host: Arc<dyn Host>,
    /// Numbers for the ids of requests.
    pub random: stepwright_orchestrator::Random,
    /// What it is told.
    pub options: ApiOptions,
}

/// What every route is given. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) limits: Limits,
    /// Whether the process is stopping.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) templates: PreparedTemplates,
    feed: Arc<Feed>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub(crate) fn new(parts: Parts, gatekeeper: Gatekeeper, stopping: watch::Receiver<bool>) -> Self {
        let limits = Limits::new(&parts.options);
        let uploads = Arc::new(Semaphore::new(UPLOADS_MAX));
        let feed = match &parts.orchestrator {
            Some(orchestrator) => orchestrator.feed().clone(),
            None => Feed::new(parts.store.clone()),
        };
        let templates = PreparedTemplates::new(parts.options.environment.as_str());
        Self(Arc::new(Inner { parts, gatekeeper, limits, stopping, uploads, templates, feed }))
    }
}

impl Inner {
    pub(crate) fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    pub(crate) fn options(&self) -> &ApiOptions {
        &self.parts.options
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns once the process is stopping.
    pub(crate) async fn stop(&self) {
        // Whoever would say so is gone: so is the process.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// A task with its steps.
    pub(crate) async fn task(&self, id: TaskId) -> Result<TaskRecord, Problem> {
        self.store().task(id).await?.ok_or_else(|| crate::problem::no_task(id))
    }

    /// Creates one task: in the pump's next round if there is one, so that its first steps are claimed by the same commit.
    pub(crate) async fn start(&self, task: NewTask) -> Result<Created, Problem> {
        let Some(orchestrator) = &self.parts.orchestrator else {
            return first(self.start_all(vec![task]).await?);
        };
        match tokio::time::timeout(START_MAX, orchestrator.start(vec![task])).await {
            Ok(created) => first(created?),
            Err(_) => Err(Problem::new(
                Code::Unavailable,
                "the orchestrator did not answer in time, and may create the task yet; with an idempotency key it can be started again",
            )),
        }
    }

    /// Creates tasks in one transaction: all or none.
    pub(crate) async fn start_all(&self, tasks: Vec<NewTask>) -> Result<Vec<Created>, Problem> {
        let created = self.store().create(&tasks, self.now()).await?;
        self.parts.host.wake().await;
        Ok(created)
    }

    /// Returns once the task has settled, or nobody would say so any more.
    pub(crate) async fn settled(&self, task: TaskId) -> Result<(), Problem> {
        if let Some(orchestrator) = &self.parts.orchestrator {
            return match orchestrator.settled(task).await {
                Ok(_) | Err(HandleError::Stopped) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        loop {
            let states = self.store().task_states(&[task]).await?;
            let (_, state) = states.first().ok_or_else(|| crate::problem::no_task(task))?;
            if state.is_settled() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn first(created: Vec<Created>) -> Result<Created, Problem> {
    let missing = || Problem::new(Code::Internal, "the store created nothing and said nothing");
    created.into_iter().next().ok_or_else(missing)
}
