//! Connecting to the database, and the trait's methods handed on to where they are written.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use stepwright_store::schema::SchemaStatus;
use stepwright_store::{
    Added, AttemptRecord, AuditedTask, Glance, NewOrchestrator, NewPlugin, NewTemplate, NewToken, NoteRecord,
    OrchestratorRecord, PauseRecord, PluginRecord, Result, Round, StepStatistics, Store, StoreCounters,
    StoreError, SuspectRecord, TaskFilter, TaskRecord, TaskSummary, TemplateRecord, TemplateSource,
    TokenRecord, TokenScope, ValidToken, WorkerRecord, WorkerState,
};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, PlanId, TaskId, Timestamp, TokenId, WorkerId};

use tokio::sync::Mutex;

use crate::error::{STATEMENT_TIMEOUT, engine};
use crate::round::PostgresRound;
use crate::{catalog, orchestrators, reads, schema, tokens};

/// How long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The channel of announcements, and an announcement.
const CHANNEL: &str = "stepwright";
const ANNOUNCE: &str = "NOTIFY stepwright";

/// Between two tries to listen while the database is away.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// What can be chosen about the connections.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections for transactions: one for each pump, and some for operators.
    pub writers_max: u32,
    /// Connections for reads of people.
    pub readers_max: u32,
    /// Apply missing migrations. Otherwise a database that is behind is refused.
    pub migrate: bool,
    /// Refuse a database whose schema is not the program's. Without it nothing is applied either, and only
    /// [`PostgresStore::schema_status`] may be asked for.
    pub check: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { writers_max: 4, readers_max: 4, migrate: true, check: true }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    statements: AtomicU64,
    commits: AtomicU64,
}

impl Counters {
    pub(crate) fn statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
}

/// A PostgreSQL database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(crate) writers: PgPool,
    pub(crate) readers: PgPool,
    /// Held while figures of the whole are read: that takes several readers at once, and the rest are for the pump.
    pub(crate) figures: Arc<Mutex<()>>,
    pub(crate) counters: Arc<Counters>,
    /// The database as people may see it: without its password.
    name: String,
    connect: PgConnectOptions,
    /// The connection that listens for announcements, once somebody waits for them.
    listener: Arc<Mutex<Option<PgListener>>>,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database` and brings its schema up to date if the options say so.
    ///
    /// Fails with [`StoreError::Unavailable`], naming the database without its password, and what to do.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self> {
        let connect = PgConnectOptions::from_str(url).map_err(|error| StoreError::Unavailable {
            what: "failed to read the database's address".to_owned(),
            reason: format!("{error}; it looks like postgres://user:password@host:5432/database"),
        })?;
        let connect = connect.application_name("stepwright");
        let name = format!(
            "postgres://{}@{}:{}/{}",
            connect.get_username(),
            connect.get_host(),
            connect.get_port(),
            connect.get_database().unwrap_or(connect.get_username())
        );
        let pool = |connections: u32| {
            PgPoolOptions::new()
                .max_connections(connections.max(1))
                .test_before_acquire(false)
                .acquire_timeout(CONNECT_TIMEOUT)
        };
        let unavailable = |reason: String| StoreError::Unavailable {
            what: format!("failed to open the database {name}"),
            reason,
        };
        let writers = pool(options.writers_max).connect_with(configured(connect.clone(), true)).await;
        let writers = writers.map_err(|error| unavailable(describe(&error)))?;
        let readers = pool(options.readers_max).connect_lazy_with(configured(connect.clone(), false));
        let store = Self {
            writers,
            readers,
            figures: Arc::default(),
            counters: Arc::default(),
            name: name.clone(),
            connect,
            listener: Arc::default(),
        };
        if !options.check {
            return Ok(store);
        }
        let status = store.schema_status().await?;
        if let Some(reason) = status.refusal() {
            return Err(unavailable(reason));
        }
        if !status.is_current() {
            if !options.migrate {
                return Err(unavailable("its schema is behind; run 'stepwright db migrate'".to_owned()));
            }
            store.migrate().await?;
        }
        Ok(store)
    }

    /// The database as people may see it: without its password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of its own: listening takes one for good.
    async fn listen(&self) -> std::result::Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT);
        let mut listener = PgListener::connect_with(&pool.connect_with(self.connect.clone()).await?).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    /// Which migrations the database has.
    pub async fn schema_status(&self) -> Result<SchemaStatus> {
        let mut connection = self.readers.acquire().await.map_err(engine("connect to the database"))?;
        schema::status(&mut connection).await.map_err(|error| migration("read the schema's version", error))
    }

    /// Applies every migration that is missing. Several processes may do so at once.
    pub async fn migrate(&self) -> Result<()> {
        let mut connection = self.readers.acquire().await.map_err(engine("connect to the database"))?;
        schema::migrate(&mut connection).await.map_err(|error| migration("migrate the database", error))
    }
}

fn migration(what: &'static str, error: sqlx::migrate::MigrateError) -> StoreError {
    StoreError::Engine { what, source: Box::new(error) }
}

fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::PoolTimedOut => "it did not answer in time; is PostgreSQL running there?".to_owned(),
        other => other.to_string(),
    }
}

/// Every statement of a round finds its rows by key, whatever the statistics of a fast-growing table say: a plan that was
/// made while a table was empty must not read all of it an hour later. People's reads are planned as usual.
fn configured(options: PgConnectOptions, by_key: bool) -> PgConnectOptions {
    let milliseconds = STATEMENT_TIMEOUT.as_millis().to_string();
    let options = options.statement_cache_capacity(128).options([
        ("statement_timeout", milliseconds.as_str()),
        ("idle_in_transaction_session_timeout", "10000"),
        ("jit", "off"),
        // A commit that was reported survives a power cut.
        ("synchronous_commit", "on"),
    ]);
    if !by_key {
        return options;
    }
    options.options([
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_bitmapscan", "off"),
        ("plan_cache_mode", "force_generic_plan"),
    ])
}

#[async_trait]
impl Store for PostgresStore {
    async fn round(&self) -> Result<Box<dyn Round>> {
        Ok(Box::new(PostgresRound::begin(self).await?))
    }

    async fn add_plugin(&self, plugin: &NewPlugin, now: Timestamp) -> Result<Added> {
        catalog::add_plugin(self, plugin, now).await
    }

    async fn plugins(&self) -> Result<Vec<PluginRecord>> {
        catalog::plugins(self).await
    }

    async fn plans_in_use(&self) -> Result<Vec<(PlanId, u64)>> {
        catalog::plans_in_use(self).await
    }

    async fn add_template(&self, template: &NewTemplate, now: Timestamp) -> Result<Added> {
        catalog::add_template(self, template, now).await
    }

    async fn catalog_revision(&self) -> Result<i64> {
        catalog::revision(self).await
    }

    async fn templates(&self) -> Result<Vec<TemplateRecord>> {
        catalog::templates(self).await
    }

    async fn template(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<TemplateSource>> {
        catalog::template(self, namespace, name, version).await
    }

    async fn add_plan(&self, plan: &Plan) -> Result<PlanId> {
        catalog::add_plan(self, plan).await
    }

    async fn plan(&self, id: PlanId) -> Result<Option<Plan>> {
        catalog::plan(self, id).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>> {
        reads::task(self, id).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskSummary>> {
        reads::tasks(self, filter).await
    }

    async fn task_states(&self, ids: &[TaskId]) -> Result<Vec<(TaskId, TaskState)>> {
        reads::task_states(self, ids).await
    }

    async fn task_counts(&self) -> Result<Vec<(TaskState, u64)>> {
        reads::task_counts(self).await
    }

    async fn attempts(&self, task: TaskId) -> Result<Vec<AttemptRecord>> {
        reads::attempts(self, task).await
    }

    async fn notes(&self, task: TaskId) -> Result<Vec<NoteRecord>> {
        reads::notes(self, task).await
    }

    async fn workers(&self, state: Option<WorkerState>, limit: u32) -> Result<Vec<WorkerRecord>> {
        reads::workers(self, state, limit).await
    }

    async fn step_statistics(&self, since: Timestamp) -> Result<Vec<StepStatistics>> {
        reads::step_statistics(self, since).await
    }

    async fn audit(&self, after: TaskId, limit: u32) -> Result<Vec<AuditedTask>> {
        reads::audit(self, after, limit).await
    }

    async fn open_batches(&self, workers: &[WorkerId], until: Timestamp) -> Result<Vec<(BatchId, WorkerId)>> {
        reads::open_batches(self, workers, until).await
    }

    async fn pauses(&self) -> Result<Vec<PauseRecord>> {
        reads::pauses(self).await
    }

    async fn drop_stale_pauses(&self) -> Result<()> {
        reads::drop_stale_pauses(self).await
    }

    async fn suspects(&self) -> Result<Vec<SuspectRecord>> {
        reads::suspects(self).await
    }

    async fn add_token(&self, token: &NewToken, now: Timestamp) -> Result<TokenId> {
        tokens::add(self, token, now).await
    }

    async fn rotate_token(
        &self,
        token: &NewToken,
        others_until: Timestamp,
        now: Timestamp,
    ) -> Result<TokenId> {
        tokens::rotate(self, token, others_until, now).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        tokens::list(self).await
    }

    async fn valid_tokens(&self, scope: TokenScope, now: Timestamp) -> Result<Vec<ValidToken>> {
        tokens::valid(self, scope, now).await
    }

    async fn revoke_tokens(&self, tokens: &[TokenId], now: Timestamp) -> Result<Vec<TokenId>> {
        tokens::revoke(self, tokens, now).await
    }

    async fn note_tokens_used(&self, tokens: &[TokenId], now: Timestamp) -> Result<()> {
        tokens::note_used(self, tokens, now).await
    }

    async fn enrol(&self, orchestrator: &NewOrchestrator, now: Timestamp) -> Result<()> {
        orchestrators::enrol(self, orchestrator, now).await
    }

    async fn dismiss(&self, incarnation: &str, not_seen_since: Timestamp) -> Result<()> {
        orchestrators::dismiss(self, incarnation, not_seen_since).await
    }

    async fn orchestrators(&self) -> Result<Vec<OrchestratorRecord>> {
        orchestrators::orchestrators(self).await
    }

    async fn glance(&self, now: Timestamp) -> Result<Glance> {
        reads::glance(self, now).await
    }

    async fn announce(&self) -> Result<()> {
        self.counters.statement();
        sqlx::raw_sql(ANNOUNCE).execute(&self.readers).await.map_err(engine("wake the orchestrators"))?;
        Ok(())
    }

    async fn announced(&self) {
        let mut listener = self.listener.lock().await;
        loop {
            if let Some(listening) = listener.as_mut() {
                match listening.recv().await {
                    Ok(_) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the connection that listens for announcements broke");
                        *listener = None;
                    }
                }
            }
            match self.listen().await {
                Ok(listening) => {
                    *listener = Some(listening);
                    // Whatever was announced before it listened.
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "failed to listen for announcements");
                    tokio::time::sleep(LISTEN_PAUSE).await;
                }
            }
        }
    }

    fn counters(&self) -> StoreCounters {
        StoreCounters {
            statements: self.counters.statements.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    async fn close(&self) {
        if let Ok(mut listener) = self.listener.try_lock() {
            *listener = None;
        }
        self.readers.close().await;
        self.writers.close().await;
    }
}
