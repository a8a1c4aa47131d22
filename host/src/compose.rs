//! Puts the parts together: the only place that names both a trait and what stands behind it.

use std::sync::Arc;

use stepwright_executor::{CompiledFolder, EngineOptions, Executor, Sandbox, WasmExecutor};
use stepwright_orchestrator::{Orchestrator, OrchestratorHandle};
use stepwright_store::Store;
use stepwright_store_sqlite::{OrchestratorLock, SqliteOptions};
use stepwright_transport::gate::{Gate, GateOptions, Token, Tunnel, TunnelOptions};
use stepwright_transport::port::{OrchestratorPort, WorkerPort};
use stepwright_transport::zmq::{self, BindOptions, ConnectOptions};
use stepwright_worker::Worker;

use crate::clock::random;
use crate::context::Context;
use crate::error::CliError;

/// An orchestrator that is about to run, with the lock that keeps others from its database.
pub(crate) struct Orchestration {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) handle: OrchestratorHandle,
    pub(crate) store: Arc<dyn Store>,
    /// Held until the end.
    pub(crate) lock: OrchestratorLock,
}

/// Opens the database, makes sure that nobody else orchestrates it, and sets an orchestrator before a port.
pub(crate) async fn orchestration(
    context: &Context,
    incarnation: &str,
    port: impl AsyncFnOnce() -> Result<Box<dyn OrchestratorPort>, CliError>,
) -> Result<Orchestration, CliError> {
    let store: Arc<dyn Store> = Arc::new(context.sqlite(SqliteOptions::default()).await?);
    let lock = OrchestratorLock::take(&context.config.database)?;
    let options = context.config.orchestrator(incarnation);
    let (orchestrator, handle) =
        Orchestrator::new(options, Arc::clone(&store), port().await?, context.clock.clone(), random());
    Ok(Orchestration { orchestrator, handle, store, lock })
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

/// The gate in front of the orchestrator's socket, if one is wanted.
pub(crate) async fn gate(context: &Context, incarnation: &str) -> Result<Option<Gate>, CliError> {
    let Some(listen) = context.config.gate_listen else { return Ok(None) };
    let options = GateOptions {
        listen,
        token: Token::read_or_create(&context.config.gate_token_file)?,
        path: context.config.socket(),
        incarnation: incarnation.to_owned(),
        message_bytes_max: context.config.message_bytes_max,
        connections_max: context.config.gate_connections_max,
    };
    Ok(Some(Gate::bind(options).await?))
}

/// A worker's connection, and the tunnel that it goes through if the orchestrator is elsewhere.
pub(crate) fn worker_port(
    context: &Context,
    incarnation: &str,
) -> Result<(Box<dyn WorkerPort>, Option<Tunnel>), CliError> {
    let config = &context.config;
    let (path, tunnel) = match &config.worker_gate {
        None => (config.socket(), None),
        Some(gate) => {
            let path = config.run_dir.join(format!("tunnel-{}.sock", std::process::id()));
            let options = TunnelOptions {
                gate: gate.clone(),
                token: Token::read(&config.gate_token_file)?,
                path: path.clone(),
                message_bytes_max: config.message_bytes_max,
            };
            (path, Some(Tunnel::bind(options)?))
        }
    };
    let options = ConnectOptions {
        path,
        incarnation: incarnation.to_owned(),
        message_bytes_max: config.message_bytes_max,
    };
    Ok((Box::new(zmq::connect(options)?), tunnel))
}

/// A worker that runs WebAssembly components.
pub(crate) fn worker(
    context: &Context,
    incarnation: &str,
    port: Box<dyn WorkerPort>,
) -> Result<Worker, CliError> {
    let options = context.config.worker(incarnation);
    let sandbox = sandbox(context, options.slots)?;
    let path = context.config.compiled_dir();
    let compiled = CompiledFolder::open(&path, context.config.compiled_bytes_max).map_err(|error| {
        CliError::new(format!("failed to open the directory of compiled plugins {}: {error}", path.display()))
    })?;
    let executor: Arc<dyn Executor> =
        Arc::new(WasmExecutor::new(sandbox, context.plugins()?, compiled, context.clock.clone()));
    Ok(Worker::new(port, executor, context.clock.clone(), options))
}

/// A sandbox with room for so many steps at once.
pub(crate) fn sandbox(context: &Context, slots: u32) -> Result<Arc<Sandbox>, CliError> {
    Ok(Sandbox::start(EngineOptions { slots, ..context.config.engine.clone() })?)
}
