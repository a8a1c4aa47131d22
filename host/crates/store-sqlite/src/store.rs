//! Opening the database, and the trait's methods handed on to where they are written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use stepwright_store::schema::SchemaStatus;
use stepwright_store::{
    Added, AttemptRecord, AuditedTask, Glance, NewOrchestrator, NewPlugin, NewTemplate, NewToken, NoteRecord,
    OrchestratorRecord, PauseRecord, PluginRecord, Result, Round, StepStatistics, Store, StoreCounters,
    SuspectRecord, TaskFilter, TaskRecord, TaskSummary, TemplateRecord, TemplateSource, TokenRecord,
    TokenScope, ValidToken, WorkerRecord, WorkerState,
};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, PlanId, TaskId, Timestamp, TokenId, WorkerId};

use crate::error::{engine, unavailable};
use crate::round::SqliteRound;
use crate::schema;
use crate::{catalog, orchestrators, reads, tokens};

/// How long a writer waits for another process's transaction, in milliseconds: far longer than any of ours takes.
pub(crate) const BUSY_MS: u64 = 10_000;

/// What can be chosen about a database file.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Connections for reads. They never wait for the writer, nor it for them.
    pub readers_max: u32,
    /// Apply missing migrations. Otherwise a database that is behind is refused.
    pub migrate: bool,
    /// Refuse a database whose schema is not the program's. Without it nothing is applied either, and only
    /// [`SqliteStore::schema_status`] may be asked for.
    pub check: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers_max: 4, migrate: true, check: true }
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

/// A database file, or one in memory for tests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    /// A connection that removes, where it can be another one than the writer. It checks no foreign keys: for want of an index,
    /// which every lease would have to pay for, that would read whole tables for each batch. The statements look for themselves.
    pub(crate) remover: Option<SqlitePool>,
    /// Held while figures of the whole are read: that takes several readers at once, and the rest are for the pump.
    pub(crate) figures: Arc<tokio::sync::Mutex<()>>,
    pub(crate) counters: Arc<Counters>,
    /// The last batch that was made through this store; 0 while that is not known.
    pub(crate) last_batch: Arc<AtomicI64>,
}

impl SqliteStore {
    /// Opens a database file, makes it if there is none, and brings its schema up to date if the options say so.
    ///
    /// Fails with [`StoreError::Unavailable`](stepwright_store::StoreError::Unavailable), naming the file and what to do.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        prepare_file(path)?;
        let store = Self::connect(path, options.readers_max).await?;
        if !options.check {
            return Ok(store);
        }
        let status = store.schema_status().await.map_err(|error| unavailable(path, error))?;
        if let Some(reason) = status.refusal() {
            return Err(unavailable(path, reason));
        }
        if !status.is_current() {
            if !options.migrate {
                return Err(unavailable(path, "its schema is behind; run 'stepwright db migrate'"));
            }
            store.migrate().await.map_err(|error| unavailable(path, error))?;
        }
        Ok(store)
    }

    /// A database that is gone with this value.
    pub async fn in_memory() -> Result<Self> {
        let options = configured(SqliteConnectOptions::new().in_memory(true));
        // The one connection is the database: it must never be closed while the store lives.
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        let pool = pool
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(engine("open a database in memory"))?;
        let store = Self {
            writer: pool.clone(),
            readers: pool,
            remover: None,
            figures: Arc::default(),
            counters: Arc::default(),
            last_batch: Arc::default(),
        };
        store.migrate().await?;
        Ok(store)
    }

    async fn connect(path: &Path, readers_max: u32) -> Result<Self> {
        let options = configured(SqliteConnectOptions::new().filename(path).create_if_missing(true));
        let pool = || {
            SqlitePoolOptions::new()
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .acquire_timeout(Duration::from_millis(BUSY_MS))
                .after_release(|connection, _| {
                    Box::pin(async move {
                        if connection.is_in_transaction() {
                            // The roll-back may be under way.
                            connection.ping().await?;
                        }
                        // A full disk ends a transaction behind the connection's back; it would think of itself as in one for ever.
                        Ok(!connection.is_in_transaction())
                    })
                })
        };
        let writer = pool().max_connections(1).connect_with(options.clone()).await;
        let writer = writer.map_err(|error| unavailable(path, describe(&error)))?;
        // Readers open when they are first needed; a short-lived command often needs none.
        let readers = pool().max_connections(readers_max.max(1)).connect_lazy_with(options.clone());
        let remover = Some(pool().max_connections(1).connect_lazy_with(options.foreign_keys(false)));
        let (counters, last_batch, figures) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { writer, readers, remover, figures, counters, last_batch })
    }

    /// Which migrations the database has.
    pub async fn schema_status(&self) -> Result<SchemaStatus> {
        let mut connection = self.writer.acquire().await.map_err(engine("connect to the database"))?;
        schema::status(&mut connection).await.map_err(|error| migration("read the schema's version", error))
    }

    /// Applies every migration that is missing. Two processes may do so at once.
    pub async fn migrate(&self) -> Result<()> {
        let mut connection = self.writer.acquire().await.map_err(engine("connect to the database"))?;
        // A migration fails if another process has just applied it: each try goes at least one further then.
        for _ in schema::MIGRATIONS.iter() {
            if schema::migrate(&mut connection).await.is_ok() {
                return Ok(());
            }
        }
        schema::migrate(&mut connection).await.map_err(|error| migration("migrate the database", error))
    }
}

fn migration(what: &'static str, error: sqlx::migrate::MigrateError) -> stepwright_store::StoreError {
    stepwright_store::StoreError::Engine { what, source: Box::new(error) }
}

fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) if inner.code().as_deref() == Some("26") => {
            "it is no SQLite database".to_owned()
        }
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        other => other.to_string(),
    }
}

/// Creates the file for its owner alone, so that nobody else can read what tasks carry; says what is wrong if that fails.
fn prepare_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or(PathBuf::from("."), Path::to_path_buf);
    if !folder.is_dir() {
        return Err(unavailable(
            path,
            format!("the directory {} does not exist; create it first", folder.display()),
        ));
    }
    let opened =
        std::fs::File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(unavailable(path, "it is not writable for this user; change its owner or mode"))
        }
        Err(error) => Err(unavailable(path, error)),
    }
}

fn configured(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        // A commit survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(BUSY_MS))
        // Every statement of this crate, and then some.
        .statement_cache_capacity(128)
        // Checkpoints move pages into the main file: less often is cheaper, and 16 MiB of log is little.
        .pragma("wal_autocheckpoint", "4000")
        // 64 MiB of pages in memory, and reads without a copy.
        .pragma("cache_size", "-65536")
        .pragma("mmap_size", "268435456")
        .pragma("temp_store", "memory")
}

#[async_trait]
impl Store for SqliteStore {
    async fn round(&self) -> Result<Box<dyn Round>> {
        Ok(Box::new(SqliteRound::begin(self).await?))
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

    fn counters(&self) -> StoreCounters {
        StoreCounters {
            statements: self.counters.statements.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    async fn close(&self) {
        self.readers.close().await;
        if let Some(remover) = &self.remover {
            remover.close().await;
        }
        self.writer.close().await;
    }
}
