//! A fresh deployment for one workload: database, orchestrator in this process, worker processes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use stepwright_executor::{EngineOptions, Sandbox, inspect};
use stepwright_orchestrator::catalog::{self, Prepared};
use stepwright_orchestrator::{Orchestrator, OrchestratorHandle, OrchestratorOptions, supply};
use stepwright_postgres_harness::Database;
use stepwright_registry::{Blobs, PluginFolder};
use stepwright_store::{NewPlugin, Store, WorkerState};
use stepwright_transport::zmq::{self, BindOptions};
use stepwright_workflow::{Clock, Payload, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::{Engine, FILE};
use crate::growth;
use crate::workload::Workload;

const WORKERS: usize = 2;

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this binary owns the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A worker process, killed when it is dropped.
pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) handle: OrchestratorHandle,
    pub(crate) prepared: Prepared,
    /// Where the components lie.
    plugins: PluginFolder,
    pub(crate) workers: Vec<WorkerProcess>,
    pub(crate) engine: Engine,
    /// Tasks that had finished before.
    pub(crate) finished: usize,
    /// Where it is a server's.
    pub(crate) database: Option<Database>,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
    /// On the disk that is measured.
    _data: tempfile::TempDir,
    /// In the system's temporary folder: socket names must be short.
    _run: tempfile::TempDir,
}

/// A folder on the disk below the current directory.
pub(crate) fn data_folder() -> anyhow::Result<tempfile::TempDir> {
    let parent = root().join("target/bench");
    std::fs::create_dir_all(&parent)?;
    Ok(tempfile::tempdir_in(parent)?)
}

/// The component that every workload runs.
pub(crate) fn component() -> anyhow::Result<Vec<u8>> {
    guest("shapes")
}

/// A built guest.
pub(crate) fn guest(name: &str) -> anyhow::Result<Vec<u8>> {
    let path = root().join(format!("plugins/target/wasm32-wasip2/release/{name}.wasm"));
    std::fs::read(&path)
        .with_context(|| format!("{} is missing; build it with 'cargo xtask plugins'", path.display()))
}

impl World {
    /// Starts everything and waits until the workers have joined.
    pub(crate) async fn start(workload: &Workload, engine: Engine, finished: usize) -> anyhow::Result<Self> {
        let (data, run) = (data_folder()?, tempfile::Builder::new().prefix("sw-bench-").tempdir()?);
        let socket = run.path().join("run/orchestrator.sock");
        let (store, database) = engine.open(data.path()).await?;
        let prepared = prepare(&*store, data.path(), workload).await?;
        if finished > 0 {
            match &database {
                Some(database) => growth::fill_server(database, prepared.id.0, finished).await?,
                None => growth::fill_file(&data.path().join(FILE), prepared.id.0, finished).await?,
            }
        }
        let options =
            BindOptions { path: socket, incarnation: "bench".to_owned(), message_bytes_max: 8 << 20 };
        let port = Box::new(zmq::bind(options).await?);
        let random = Arc::new(|| 0);
        let options = OrchestratorOptions::new("bench");
        let (orchestrator, handle) =
            Orchestrator::new(options, Arc::clone(&store), port, Arc::new(SystemClock), random);
        let orchestrator =
            orchestrator.supplying(supply::of_registry(Blobs::folder(&data.path().join("plugins"))?));
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let stopped = stop.clone();
        running.spawn(async move { orchestrator.run(stopped).await.map_err(anyhow::Error::from) });
        let workers = (1..=WORKERS).map(|number| worker(number, data.path(), &run.path().join("run")));
        let workers = workers.collect::<anyhow::Result<Vec<_>>>()?;
        let world = Self {
            store,
            handle,
            prepared,
            plugins: PluginFolder::open(&data.path().join("plugins"))?,
            workers,
            finished,
            engine,
            database,
            stop,
            running,
            _data: data,
            _run: run,
        };
        world.joined().await?;
        Ok(world)
    }

    async fn joined(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            if self.store.workers(Some(WorkerState::Joined), 10).await?.len() == WORKERS {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(anyhow!("the workers did not join within 30 s"))
    }

    /// Registers one more component.
    pub(crate) async fn add_plugin(&self, bytes: &[u8]) -> anyhow::Result<()> {
        add_plugin(&*self.store, &self.plugins, bytes).await
    }

    /// Registers one more template.
    pub(crate) async fn add_template(&self, name: &str, text: &str) -> anyhow::Result<Prepared> {
        catalog::add_template(&*self.store, (name, text), "development", SystemClock.now()).await?;
        Ok(catalog::prepare(&*self.store, name, "development").await?)
    }

    /// Ends everything.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.workers.clear();
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        self.store.close().await;
        Ok(())
    }
}

/// Registers the component and the template of a workload.
pub(crate) async fn prepare(store: &dyn Store, data: &Path, workload: &Workload) -> anyhow::Result<Prepared> {
    add_plugin(store, &PluginFolder::open(&data.join("plugins"))?, &component()?).await?;
    let now = SystemClock.now();
    let path = root().join(format!("config/templates/{}.yaml", workload.template));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    catalog::add_template(store, (&path.display().to_string(), &text), "development", now).await?;
    let prepared = catalog::prepare(store, &format!("shapes/{}", workload.template), "development").await?;
    ensure!(
        prepared.plan.steps.len() == workload.steps,
        "{} has {} steps",
        workload.template,
        prepared.plan.steps.len()
    );
    Ok(prepared)
}

/// Registers a component.
async fn add_plugin(store: &dyn Store, plugins: &PluginFolder, bytes: &[u8]) -> anyhow::Result<()> {
    let sandbox = Sandbox::start(EngineOptions { slots: 1, ..EngineOptions::default() })?;
    let found = inspect(&sandbox, bytes.to_vec()).await?;
    plugins.put(bytes)?;
    let plugin = NewPlugin {
        digest: found.digest,
        name: found.description.name.clone(),
        version: found.description.version.clone(),
        bytes: found.bytes,
        description: Payload::of(&found.description)?,
        source: "file".to_owned(),
        signatures: Payload::of(&[(); 0])?,
        imports: found.imports.clone(),
    };
    store.add_plugin(&plugin, SystemClock.now()).await?;
    Ok(())
}

/// Starts a worker.
pub(crate) fn worker(number: usize, data: &Path, run: &Path) -> anyhow::Result<WorkerProcess> {
    let program = std::env::current_exe()?.with_file_name("stepwright");
    let mut command = Command::new(&program);
    command.arg("--data-dir").arg(data).arg("--run-dir").arg(run).args([
        "--log-level",
        "warn",
        "work",
        "--name",
    ]);
    command.arg(format!("worker-{number}")).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().with_context(|| format!("failed to start {}", program.display()))?;
    Ok(WorkerProcess(child))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}
