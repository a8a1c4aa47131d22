//! Puts the parts together: the only place that names both a trait and what stands behind it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use stepwright_executor::{
    CompiledFolder, ComponentCache, Components, Egress, EngineOptions, Executor, Fetched, GrantBook, Order,
    Sandbox, Supply, Trust, WasmExecutor,
};
use stepwright_orchestrator::feed::Feed;
use stepwright_orchestrator::pruner::Pruner;
use stepwright_orchestrator::supply::{self, Shelf};
use stepwright_orchestrator::{Listing, Orchestrator, OrchestratorHandle};
use stepwright_registry::{PluginName, Verdict};
use stepwright_store::Store;
use stepwright_store_sqlite::OrchestratorLock;
use stepwright_transport::gate::{Gate, GateOptions, GateTls, Pump, Timeouts, Token, Tunnel, TunnelOptions};
use stepwright_transport::joined::join;
use stepwright_transport::local::LocalOrchestratorPort;
use stepwright_transport::port::{OrchestratorPort, WorkerPort};
use stepwright_transport::zmq::{self, BindOptions, ConnectOptions, Routes, ZmqOrchestratorPort};
use stepwright_worker::{Fetches, Worker};

use crate::admission::Admission;
use crate::clock::{incarnation, random};
use crate::config::{Database, Endpoint, hostname};
use crate::context::Context;
use crate::database::Opened;
use crate::error::CliError;
use crate::fleet::written;

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
    let orchestrator = orchestrator.supplying(shelf(context)?);
    let pruner = Pruner::new(context.config.pruner(), Arc::clone(&store), context.clock.clone(), random());
    Ok(Orchestration { orchestrator, handle, pruner, store, lock })
}

/// The further pumps of a process, each with an incarnation and a socket of its own before the same store.
pub(crate) async fn further_pumps(
    context: &Context,
    store: &Arc<dyn Store>,
    feed: &Arc<Feed>,
) -> Result<Vec<(Pump, Orchestrator, OrchestratorHandle)>, CliError> {
    let pumps = context.config.pumps;
    if let (Database::File(path), 2..) = (&context.config.database, pumps) {
        return Err(CliError::new(format!(
            "{pumps} pumps at the SQLite file {}: it takes one writer at a time, so only one pump; \
             leave orchestrator.pumps at 1, or use PostgreSQL with --db postgres://user:password@host:5432/database",
            path.display()
        )));
    }
    let mut further = Vec::new();
    for number in 2..=pumps {
        let pump = Pump { path: context.config.socket_of(number), incarnation: incarnation()? };
        let port = orchestrator_port(context, &pump.incarnation, number).await?;
        let options = context.config.orchestrator(&pump.incarnation);
        let (orchestrator, handle) =
            Orchestrator::new(options, Arc::clone(store), port, context.clock.clone(), random());
        further.push((pump, orchestrator.supplying(shelf(context)?).feeding(feed.clone()), handle));
    }
    Ok(further)
}

/// Where an orchestrator takes the components from that its workers ask for.
fn shelf(context: &Context) -> Result<Shelf, CliError> {
    Ok(supply::of_registry(context.blobs()?))
}

/// How a pump is listed among the orchestrators: its socket for workers of this machine, and the gate for the others if it is open.
pub(crate) fn listing(context: &Context, pump: u32, gate: Option<&Endpoint>) -> Listing {
    let host = hostname();
    let mut endpoints = vec![written(&Endpoint::Socket(context.config.socket_of(pump)), &host)];
    // What is advertised without a gate of ours leads through one that somebody else put before it.
    let gate = context.config.advertise.as_ref().or_else(|| gate.filter(|gate| is_somewhere(gate)));
    if let Some(Endpoint::Gate { address, tls, .. }) = gate {
        endpoints.push(written(&Endpoint::Gate { address: address.clone(), tls: *tls, pump }, &host));
    }
    Listing { host, pid: std::process::id(), pump, pumps: context.config.pumps, endpoints }
}

/// Whether others can reach an address: 0.0.0.0 is everywhere here and nowhere else, and the loopback is another machine's own.
fn is_somewhere(gate: &Endpoint) -> bool {
    let Endpoint::Gate { address, .. } = gate else { return false };
    address
        .parse::<SocketAddr>()
        .is_ok_and(|address| !address.ip().is_unspecified() && !address.ip().is_loopback())
}

/// An orchestrator's socket.
pub(crate) async fn orchestrator_port(
    context: &Context,
    incarnation: &str,
    pump: u32,
) -> Result<Box<dyn OrchestratorPort>, CliError> {
    Ok(Box::new(socket(context, incarnation, pump).await?))
}

/// The same beside workers of this process.
pub(crate) async fn joined_port(
    context: &Context,
    incarnation: &str,
    inside: LocalOrchestratorPort,
) -> Result<Box<dyn OrchestratorPort>, CliError> {
    Ok(Box::new(join(inside, socket(context, incarnation, 1).await?)))
}

async fn socket(context: &Context, incarnation: &str, pump: u32) -> Result<ZmqOrchestratorPort, CliError> {
    let options = BindOptions {
        path: context.config.socket_of(pump),
        incarnation: incarnation.to_owned(),
        message_bytes_max: context.config.message_bytes_max,
    };
    Ok(zmq::bind(options).await?)
}

/// A gate, and who keeps its list of tokens.
pub(crate) struct GateParts {
    pub(crate) gate: Gate,
    pub(crate) admission: Admission,
    /// Where it is reached.
    pub(crate) endpoint: Endpoint,
}

/// The gate in front of the orchestrator's socket, if one is wanted. It lets in whoever has a token that the database knows.
pub(crate) async fn gate(
    context: &Context,
    incarnation: &str,
    further: Vec<Pump>,
    store: Arc<dyn Store>,
) -> Result<Option<GateParts>, CliError> {
    let Some(settings) = &context.config.gate else { return Ok(None) };
    let (admission, allowed) = Admission::start(store, context.clock.clone()).await?;
    if allowed.borrow().is_empty() {
        tracing::warn!(
            "the gate lets nobody in yet: there is no token of scope worker. Make one with 'stepwright token create --name NAME --out FILE'"
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
        further,
        message_bytes_max: context.config.message_bytes_max,
        connections_max: settings.connections_max,
        timeouts: Timeouts::default(),
    };
    let gate = Gate::bind(options).await?;
    let endpoint = settings.endpoint(gate.address()?);
    Ok(Some(GateParts { gate, admission, endpoint }))
}

/// The way to an orchestrator: a socket, and the tunnel behind it where it leads elsewhere.
pub(crate) struct Way {
    /// What a link connects to.
    pub(crate) path: PathBuf,
    /// To be served for as long as the way is used.
    pub(crate) tunnel: Option<Tunnel>,
}

/// Makes the way to one of a worker's orchestrators. The gate of those that are elsewhere may name a pump after its address.
pub(crate) fn way(context: &Context, number: u64, endpoint: &Endpoint) -> Result<Way, CliError> {
    let config = &context.config;
    let (address, tls, pump) = match endpoint {
        Endpoint::Socket(path) => return Ok(Way { path: path.clone(), tunnel: None }),
        Endpoint::Gate { address, tls, pump } => (address, *tls, *pump),
    };
    if tls && config.worker_tls.is_none() {
        return Err(CliError::new(format!(
            "{endpoint} speaks TLS; set worker.tls_ca to a file with the certificate that signed the gate's"
        )));
    }
    // What orchestrators tell of may not talk a worker that speaks TLS into showing its token in the clear.
    let named = |known: &Endpoint| matches!(known, Endpoint::Gate { address: named, tls: false, .. } if named == address);
    if !tls && config.worker_tls.is_some() && !config.worker_orchestrators.iter().any(named) {
        return Err(CliError::new(format!(
            "{endpoint} was heard of and encrypts nothing; name it in worker.orchestrators to use it all the same"
        )));
    }
    let path = config.run_dir.join(format!("tunnel-{}-{number}.sock", std::process::id()));
    Token::read(&config.worker_token_file)?;
    let tls = config.worker_tls.clone().filter(|_| tls);
    if let Some(tls) = &tls {
        tls.check()?;
    }
    // Its files are read for each connection; what is wrong with them now is said now.
    let options = TunnelOptions {
        gate: address.clone(),
        pump,
        token_file: config.worker_token_file.clone(),
        tls,
        path: path.clone(),
        message_bytes_max: config.message_bytes_max,
        timeouts: Timeouts::default(),
    };
    Ok(Way { path, tunnel: Some(Tunnel::bind(options)?) })
}

/// A worker for one orchestrator. It has its own incarnation, and turns to the others on its routes while its own orchestrator
/// is away: so every lease has exactly one orchestrator that speaks for it, and what was not acknowledged goes to whoever answers.
pub(crate) fn link(
    context: &Context,
    routes: &Routes,
    executor: &Arc<dyn Executor>,
) -> Result<Worker, CliError> {
    let incarnation = incarnation()?;
    let options = ConnectOptions {
        routes: routes.clone(),
        incarnation: incarnation.clone(),
        message_bytes_max: context.config.message_bytes_max,
    };
    let port: Box<dyn WorkerPort> = Box::new(zmq::connect(options)?);
    let options = context.config.worker(&incarnation);
    Ok(Worker::new(port, Arc::clone(executor), context.clock.clone(), options))
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

/// What runs the steps of a process that has the registry's folder.
fn executor(context: &Context, slots: u32) -> Result<Arc<dyn Executor>, CliError> {
    Ok(Arc::new(wasm_executor(context, slots)?))
}

/// The same, for whoever also hands it components.
pub(crate) fn wasm_executor(context: &Context, slots: u32) -> Result<WasmExecutor, CliError> {
    wasm_executor_with(context, slots, context.compiled()?)
}

/// The same, with another folder for what it compiles.
pub(crate) fn wasm_executor_with(
    context: &Context,
    slots: u32,
    compiled: CompiledFolder,
) -> Result<WasmExecutor, CliError> {
    // What is registered was checked when that was done.
    assemble(context, slots, (components(context)?, Trust::Off, compiled))
}

/// The components of a process that has the registry at hand.
#[allow(
    clippy::disallowed_methods,
    reason = "the task ends with the executor, which has the other end of the orders"
)]
fn components(context: &Context) -> Result<Components, CliError> {
    if context.config.registry_url.is_empty() {
        return Ok(context.plugins()?.into());
    }
    let (blobs, (supply, mut orders)) = (context.blobs()?, Supply::new(Supply::PATIENCE));
    tokio::spawn(async move {
        while let Some(Order { digest, reply }) = orders.recv().await {
            let found = blobs.get(&digest).await.map_err(|error| error.to_string());
            let fetched = found.map(|bytes| Fetched { bytes: bytes.into(), signatures: Vec::new() });
            // Whoever asked may have given up.
            let _ = reply.send(fetched);
        }
    });
    Ok(Components::Cache(component_cache(context)?, supply))
}

fn component_cache(context: &Context) -> Result<ComponentCache, CliError> {
    let path = context.config.component_cache_dir();
    ComponentCache::open(&path, context.config.components_bytes_max).map_err(|error| {
        CliError::new(format!("failed to open the directory of fetched plugins {}: {error}", path.display()))
    })
}

/// Whether a worker asks for signatures, as the rules of its settings say.
fn trust(context: &Context) -> Result<Trust, CliError> {
    let policy = context.config.trust()?;
    if policy.is_off() {
        return Ok(Trust::Off);
    }
    Ok(Trust::Check(Arc::new(move |plugin, digest, signatures| {
        let name: PluginName = plugin.parse().map_err(|error| format!("{error}"))?;
        match policy.check(&name, digest, signatures) {
            Ok(Verdict::Unsigned { warning }) => tracing::warn!(%digest, "{warning}"),
            Ok(Verdict::Trusted { .. } | Verdict::NotAsked) => {}
            Err(refused) => return Err(refused.to_string()),
        }
        Ok(())
    })))
}

/// What runs the steps of a worker process, all links together, and what those links are to fetch for it.
pub(crate) fn fetching_executor(
    context: &Context,
    slots: u32,
) -> Result<(Arc<dyn Executor>, Fetches), CliError> {
    let (supply, orders) = Supply::new(Supply::PATIENCE);
    let components = Components::Cache(component_cache(context)?, supply);
    let executor = assemble(context, slots, (components, trust(context)?, context.compiled()?))?;
    Ok((Arc::new(executor), Fetches::new(orders)))
}

/// Components in a sandbox, with what the settings grant them.
fn assemble(
    context: &Context,
    slots: u32,
    (components, trust, compiled): (Components, Trust, CompiledFolder),
) -> Result<WasmExecutor, CliError> {
    let (sandbox, scratch) = (sandbox(context, slots)?, context.config.scratch_dir());
    let executor = WasmExecutor::trusting(sandbox, (components, trust), compiled, context.clock.clone())
        .with_egress(egress(context)?)
        .with_grants(grants(context)?)
        .with_scratch(&scratch)
        .map_err(|error| {
            CliError::new(format!("failed to open the directory of steps {}: {error}", scratch.display()))
        })?;
    Ok(match &context.observations {
        Some(observations) => executor.observing(Arc::clone(observations)),
        None => executor,
    })
}

/// What plugins are granted, secrets fetched.
#[allow(clippy::disallowed_methods, reason = "grants name variables of the host's own environment")]
fn grants(context: &Context) -> Result<GrantBook, CliError> {
    let variable = |name: &str| std::env::var(name).ok();
    let entries = context.config.grants.iter().map(|spec| spec.fetch(variable));
    Ok(GrantBook::new(entries.collect::<Result<_, _>>()?))
}

/// The way out for the HTTP requests of steps.
pub(crate) fn egress(context: &Context) -> Result<Egress, CliError> {
    let egress = Egress::new(context.config.egress);
    let Some(path) = &context.config.http_certificates else { return Ok(egress) };
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(format!("failed to trust sandbox.http_certificates = '{}': {error}", path.display()))
    };
    let pem = std::fs::read(path).map_err(|error| failed(&error))?;
    egress.trusting(&pem).map_err(|error| failed(&error))
}

/// A sandbox with room for so many steps at once.
pub(crate) fn sandbox(context: &Context, slots: u32) -> Result<Arc<Sandbox>, CliError> {
    Ok(Sandbox::start(EngineOptions { slots, ..context.config.engine.clone() })?)
}
