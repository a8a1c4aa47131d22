//! Puts the parts together: the only place that names both a trait and what stands behind it.

use std::path::PathBuf;
use std::sync::Arc;

use stepwright_executor::{CompiledFolder, EngineOptions, Executor, Sandbox, WasmExecutor};
use stepwright_orchestrator::pruner::Pruner;
use stepwright_orchestrator::{Orchestrator, OrchestratorHandle};
use stepwright_store::Store;
use stepwright_store_sqlite::OrchestratorLock;
use stepwright_transport::gate::{Gate, GateOptions, GateTls, Timeouts, Token, Tunnel, TunnelOptions};
use stepwright_transport::port::{OrchestratorPort, WorkerPort};
use stepwright_transport::zmq::{self, BindOptions, ConnectOptions};
use stepwright_worker::Worker;

use crate::admission::Admission;
use crate::clock::{incarnation, random};
use crate::config::Endpoint;
use crate::context::Context;
use crate::database::Opened;
use crate::error::CliError;

/// An orchestrator that is about to run, with the lock that keeps others from its database.
pub(crate) struct Orchestration {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) handle: OrchestratorHandle,
    /// Removes what is old, beside the orchestrator.
    pub(crate) pruner: Pruner,
    pub(crate) store: Arc<dyn Store>,
    /// Held until the end.
    pub(crate) lock: OrchestratorLock,
}

/// Opens the database, makes sure that nobody else orchestrates it if it is a file, and sets an orchestrator before a port.
pub(crate) async fn orchestration(
    context: &Context,
    incarnation: &str,
    port: impl AsyncFnOnce() -> Result<Box<dyn OrchestratorPort>, CliError>,
) -> Result<Orchestration, CliError> {
    let opened = Opened::current(context).await?;
    let lock = opened.lock(context)?;
    let store = opened.store();
    let options = context.config.orchestrator(incarnation);
    let (orchestrator, handle) =
        Orchestrator::new(options, Arc::clone(&store), port().await?, context.clock.clone(), random());
    let pruner = Pruner::new(context.config.pruner(), Arc::clone(&store), context.clock.clone(), random());
    Ok(Orchestration { orchestrator, handle, pruner, store, lock })
}

/// The orchestrator's socket.
pub(crate) async fn orchestrator_port(
    context: &Context,
    incarnation: &str,
) -> Result<Box<dyn OrchestratorPort>, CliError> {
    let options = BindOptions {
        path: context.config.socket(),
        incarnation: incarnation.to_owned(),
        message_bytes_max: context.config.message_bytes_max,
    };
    Ok(Box::new(zmq::bind(options).await?))
}

/// A gate, and who keeps its list of tokens.
pub(crate) struct GateParts {
    pub(crate) gate: Gate,
    pub(crate) admission: Admission,
    /// Where it is reached.
    pub(crate) url: String,
}

/// The gate in front of the orchestrator's socket, if one is wanted. It lets in whoever has a token that the database knows.
pub(crate) async fn gate(
    context: &Context,
    incarnation: &str,
    store: Arc<dyn Store>,
) -> Result<Option<GateParts>, CliError> {
    let Some(settings) = &context.config.gate else { return Ok(None) };
    let (admission, allowed) = Admission::start(store, context.clock.clone()).await?;
    if allowed.borrow().is_empty() {
        tracing::warn!(
            "the gate lets nobody in yet: there is no token. Make one with 'stepwright token create --name NAME --out FILE'"
        );
    }
    if settings.tls.is_none() && !settings.listen.ip().is_loopback() {
        tracing::warn!(listen = %settings.listen, "the gate encrypts nothing: whoever reads along has the tokens");
    }
    let options = GateOptions {
        listen: settings.listen,
        tls: settings.tls.clone().map(GateTls::load).transpose()?,
        allowed,
        path: context.config.socket(),
        incarnation: incarnation.to_owned(),
        message_bytes_max: context.config.message_bytes_max,
        connections_max: settings.connections_max,
        timeouts: Timeouts::default(),
    };
    let gate = Gate::bind(options).await?;
    let url = settings.url(gate.address()?);
    Ok(Some(GateParts { gate, admission, url }))
}

/// A worker's links: one for each orchestrator, and the tunnels that lead to those that are elsewhere.
pub(crate) struct Links {
    /// One worker for each orchestrator. They share the slots and the sandbox of this process.
    pub(crate) workers: Vec<Worker>,
    /// What the workers connect through.
    pub(crate) tunnels: Vec<Tunnel>,
}

/// Workers that run WebAssembly components, one for each orchestrator that the settings name.
///
/// Each has its own incarnation and its share of the slots, and turns to the next orchestrator while its own is away: so every
/// lease has exactly one orchestrator that speaks for it, and what was not acknowledged goes to whoever answers.
pub(crate) fn links(context: &Context) -> Result<Links, CliError> {
    let config = &context.config;
    let mut sockets = Vec::new();
    let mut tunnels = Vec::new();
    for (number, endpoint) in config.worker_orchestrators.iter().enumerate() {
        sockets.push(match endpoint {
            Endpoint::Socket(path) => path.clone(),
            Endpoint::Gate { address, tls } => {
                let path = config.run_dir.join(format!("tunnel-{}-{number}.sock", std::process::id()));
                tunnels.push(tunnel(context, address, *tls, path.clone())?);
                path
            }
        });
    }
    let slots = config.worker("").slots;
    let executor = executor(context, slots)?;
    // More links than slots would run more steps at once than the machine was said to have room for.
    let links = sockets.len().min(usize::try_from(slots).unwrap_or(usize::MAX)).max(1);
    let mut workers = Vec::with_capacity(links);
    for number in 0..links {
        let incarnation = incarnation()?;
        let mut paths = sockets.clone();
        paths.rotate_left(number);
        let options = ConnectOptions {
            paths,
            incarnation: incarnation.clone(),
            message_bytes_max: config.message_bytes_max,
        };
        let port: Box<dyn WorkerPort> = Box::new(zmq::connect(options)?);
        let share = config.worker(&incarnation).share(number, links);
        workers.push(Worker::new(port, Arc::clone(&executor), context.clock.clone(), share));
    }
    Ok(Links { workers, tunnels })
}

/// The way to a gate. Its files are read for each connection; what is wrong with them now is said now.
fn tunnel(context: &Context, address: &str, tls: bool, path: PathBuf) -> Result<Tunnel, CliError> {
    let config = &context.config;
    Token::read(&config.worker_token_file)?;
    let tls = config.worker_tls.clone().filter(|_| tls);
    if let Some(tls) = &tls {
        tls.check()?;
    }
    let options = TunnelOptions {
        gate: address.to_owned(),
        token_file: config.worker_token_file.clone(),
        tls,
        path,
        message_bytes_max: config.message_bytes_max,
        timeouts: Timeouts::default(),
    };
    Ok(Tunnel::bind(options)?)
}

/// A worker in the same process as its orchestrator.
pub(crate) fn worker(
    context: &Context,
    incarnation: &str,
    port: Box<dyn WorkerPort>,
) -> Result<Worker, CliError> {
    let options = context.config.worker(incarnation);
    let executor = executor(context, options.slots)?;
    Ok(Worker::new(port, executor, context.clock.clone(), options))
}

fn executor(context: &Context, slots: u32) -> Result<Arc<dyn Executor>, CliError> {
    let sandbox = sandbox(context, slots)?;
    let path = context.config.compiled_dir();
    let compiled = CompiledFolder::open(&path, context.config.compiled_bytes_max).map_err(|error| {
        CliError::new(format!("failed to open the directory of compiled plugins {}: {error}", path.display()))
    })?;
    Ok(Arc::new(WasmExecutor::new(sandbox, context.plugins()?, compiled, context.clock.clone())))
}

/// A sandbox with room for so many steps at once.
pub(crate) fn sandbox(context: &Context, slots: u32) -> Result<Arc<Sandbox>, CliError> {
    Ok(Sandbox::start(EngineOptions { slots, ..context.config.engine.clone() })?)
}
