//! The real store with an adversary in front of it: calls fail, commits fail before or after they are durable, and the process
//! dies between any two statements.
//!
//! Every call blocks the simulation's only thread until the database has answered, so that nothing else happens meanwhile and
//! the same seed always gives the same order. Time passes only where the simulation says so.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use stepwright_store::*;
use stepwright_store_sqlite::SqliteStore;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, PlanId, TaskId, Timestamp, TokenId, WorkerId};

use super::adversary::{Adversary, Sabotage};
use super::round::SimRound;

/// The database's own threads and clock: its time is not the simulation's.
pub(super) fn database() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the database")
    })
}

/// Waits for the database with the simulation standing still.
pub(super) fn blocking<T>(future: impl Future<Output = T>) -> T {
    let _database = database().enter();
    futures::executor::block_on(tokio::task::unconstrained(future))
}

/// See the module.
pub(super) struct SimStore {
    pub(super) inner: Arc<dyn Store>,
    /// What the books are checked with after every commit, if they are.
    checked: Option<Arc<SqliteStore>>,
    adversary: Arc<Adversary>,
    /// Whether the adversary may touch what goes through here.
    faulty: bool,
}

impl SimStore {
    /// A store of an orchestrator's, and one of an operator's, who is left alone.
    pub(super) fn pair(adversary: &Arc<Adversary>) -> (Arc<dyn Store>, Arc<dyn Store>, Arc<SqliteStore>) {
        let inner = Arc::new(blocking(SqliteStore::in_memory()).expect("a database in memory"));
        let store = |faulty| -> Arc<dyn Store> {
            Arc::new(Self {
                inner: inner.clone(),
                checked: Some(inner.clone()),
                adversary: adversary.clone(),
                faulty,
            })
        };
        (store(true), store(false), inner)
    }

    /// A store that is left alone, and for which the simulation stands still.
    pub(super) fn quiet(inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self {
            inner,
            checked: None,
            adversary: Arc::new(Adversary::new(0, Sabotage::None)),
            faulty: false,
        })
    }

    pub(super) async fn read(&self, what: &'static str) -> Result<()> {
        if !self.faulty {
            return Ok(());
        }
        if self.adversary.strikes("read fails", 100) {
            return Err(unavailable(what));
        }
        if self.adversary.strikes("crash at a read", 300) {
            self.adversary.crash().await;
        }
        Ok(())
    }
}

pub(super) fn unavailable(what: &str) -> StoreError {
    StoreError::Unavailable { what: what.to_owned(), reason: "the adversary cut the connection".to_owned() }
}

#[async_trait]
impl Store for SimStore {
    async fn round(&self) -> Result<Box<dyn Round>> {
        if self.faulty {
            tokio::time::sleep(self.adversary.latency()).await;
            if self.adversary.strikes("database busy", 60) {
                return Err(StoreError::Busy { waited_ms: 5_000 });
            }
            if self.adversary.strikes("database away", 60) {
                return Err(unavailable("begin"));
            }
        }
        Ok(Box::new(SimRound {
            inner: Some(blocking(self.inner.round())?),
            checked: self.checked.clone(),
            adversary: self.adversary.clone(),
            faulty: self.faulty,
            deeds: Vec::new(),
        }))
    }

    fn counters(&self) -> StoreCounters {
        self.inner.counters()
    }

    async fn close(&self) {}

    async fn add_plugin(&self, plugin: &NewPlugin, now: Timestamp) -> Result<Added> {
        self.read("add_plugin").await?;
        blocking(self.inner.add_plugin(plugin, now))
    }

    async fn plugins(&self) -> Result<Vec<PluginRecord>> {
        self.read("plugins").await?;
        blocking(self.inner.plugins())
    }

    async fn plans_in_use(&self) -> Result<Vec<(PlanId, u64)>> {
        self.read("plans_in_use").await?;
        blocking(self.inner.plans_in_use())
    }

    async fn add_template(&self, template: &NewTemplate, now: Timestamp) -> Result<Added> {
        self.read("add_template").await?;
        blocking(self.inner.add_template(template, now))
    }

    async fn catalog_revision(&self) -> Result<i64> {
        self.read("catalog_revision").await?;
        blocking(self.inner.catalog_revision())
    }

    async fn templates(&self) -> Result<Vec<TemplateRecord>> {
        self.read("templates").await?;
        blocking(self.inner.templates())
    }

    async fn template(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<TemplateSource>> {
        self.read("template").await?;
        blocking(self.inner.template(namespace, name, version))
    }

    async fn add_plan(&self, plan: &Plan) -> Result<PlanId> {
        self.read("add_plan").await?;
        blocking(self.inner.add_plan(plan))
    }

    async fn plan(&self, id: PlanId) -> Result<Option<Plan>> {
        self.read("plan").await?;
        blocking(self.inner.plan(id))
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>> {
        self.read("task").await?;
        blocking(self.inner.task(id))
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskSummary>> {
        self.read("tasks").await?;
        blocking(self.inner.tasks(filter))
    }

    async fn task_states(&self, ids: &[TaskId]) -> Result<Vec<(TaskId, TaskState)>> {
        self.read("task_states").await?;
        blocking(self.inner.task_states(ids))
    }

    async fn task_counts(&self) -> Result<Vec<(TaskState, u64)>> {
        self.read("task_counts").await?;
        blocking(self.inner.task_counts())
    }

    async fn attempts(&self, task: TaskId) -> Result<Vec<AttemptRecord>> {
        self.read("attempts").await?;
        blocking(self.inner.attempts(task))
    }

    async fn notes(&self, task: TaskId) -> Result<Vec<NoteRecord>> {
        self.read("notes").await?;
        blocking(self.inner.notes(task))
    }

    async fn enrol(&self, orchestrator: &NewOrchestrator, now: Timestamp) -> Result<()> {
        self.read("enrol").await?;
        blocking(self.inner.enrol(orchestrator, now))
    }

    async fn dismiss(&self, incarnation: &str, not_seen_since: Timestamp) -> Result<()> {
        self.read("dismiss").await?;
        blocking(self.inner.dismiss(incarnation, not_seen_since))
    }

    async fn orchestrators(&self) -> Result<Vec<OrchestratorRecord>> {
        self.read("orchestrators").await?;
        blocking(self.inner.orchestrators())
    }

    async fn workers(&self, state: Option<WorkerState>, limit: u32) -> Result<Vec<WorkerRecord>> {
        self.read("workers").await?;
        blocking(self.inner.workers(state, limit))
    }

    async fn step_statistics(&self, since: Timestamp) -> Result<Vec<StepStatistics>> {
        self.read("step_statistics").await?;
        blocking(self.inner.step_statistics(since))
    }

    async fn open_batches(&self, workers: &[WorkerId], until: Timestamp) -> Result<Vec<(BatchId, WorkerId)>> {
        self.read("open_batches").await?;
        blocking(self.inner.open_batches(workers, until))
    }

    async fn audit(&self, after: TaskId, limit: u32) -> Result<Vec<AuditedTask>> {
        self.read("audit").await?;
        blocking(self.inner.audit(after, limit))
    }

    async fn pauses(&self) -> Result<Vec<PauseRecord>> {
        self.read("pauses").await?;
        blocking(self.inner.pauses())
    }

    async fn drop_stale_pauses(&self) -> Result<()> {
        self.read("drop_stale_pauses").await?;
        blocking(self.inner.drop_stale_pauses())
    }

    async fn suspects(&self) -> Result<Vec<SuspectRecord>> {
        self.read("suspects").await?;
        blocking(self.inner.suspects())
    }

    async fn add_token(&self, token: &NewToken, now: Timestamp) -> Result<TokenId> {
        self.read("add_token").await?;
        blocking(self.inner.add_token(token, now))
    }

    async fn rotate_token(
        &self,
        token: &NewToken,
        others_until: Timestamp,
        now: Timestamp,
    ) -> Result<TokenId> {
        self.read("rotate_token").await?;
        blocking(self.inner.rotate_token(token, others_until, now))
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.read("tokens").await?;
        blocking(self.inner.tokens())
    }

    async fn valid_tokens(&self, scope: TokenScope, now: Timestamp) -> Result<Vec<ValidToken>> {
        self.read("valid_tokens").await?;
        blocking(self.inner.valid_tokens(scope, now))
    }

    async fn revoke_tokens(&self, tokens: &[TokenId], now: Timestamp) -> Result<Vec<TokenId>> {
        self.read("revoke_tokens").await?;
        blocking(self.inner.revoke_tokens(tokens, now))
    }

    async fn note_tokens_used(&self, tokens: &[TokenId], now: Timestamp) -> Result<()> {
        self.read("note_tokens_used").await?;
        blocking(self.inner.note_tokens_used(tokens, now))
    }

    async fn glance(&self, now: Timestamp) -> Result<Glance> {
        self.read("glance").await?;
        blocking(self.inner.glance(now))
    }
}
