//! Settings as the parts take them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use stepwright_executor::{Compiler, CompilerProcess, EgressOptions, EngineOptions};
use stepwright_orchestrator::OrchestratorOptions;
use stepwright_orchestrator::archive::Archive;
use stepwright_orchestrator::pruner::PrunerOptions;
use stepwright_registry::TrustPolicy;
use stepwright_registry::blobs::{ADDRESSES, is_address};
use stepwright_transport::gate::TunnelTls;
use stepwright_worker::WorkerOptions;
use stepwright_workflow::batch::BatchLimits;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::template::values::{duration_ms, size_bytes};

use super::api::ApiSettings;
use super::gate::{Endpoint, GateSettings};
use super::grants::{GrantSpec, network};
use super::layers::{Layers, without_password};
use super::settings::{Kind, find};
use super::trust::{self, TrustSetting};
use super::variables::Variables;
use crate::cli::LogFormat;
use crate::error::CliError;

/// The orchestrator's socket in the run directory.
const SOCKET: &str = "orchestrator.sock";

/// Where the truth is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database's address, with its password.
    Server(String),
}

impl std::fmt::Display for Database {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => f.write_str(&without_password(Kind::Url, url)),
        }
    }
}

/// Typed settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the database and the plugins are.
    pub(crate) data_dir: PathBuf,
    /// Where the sockets are.
    pub(crate) run_dir: PathBuf,
    /// Where the truth is kept.
    pub(crate) database: Database,
    /// Which template overrides apply.
    pub(crate) environment: String,
    /// Threads; 0 means one for each CPU.
    pub(crate) threads: usize,
    /// A level or a filter.
    pub(crate) log_level: String,
    /// Lines or JSON.
    pub(crate) log_format: LogFormat,
    /// The gate, if there is to be one.
    pub(crate) gate: Option<GateSettings>,
    /// The orchestrators that a worker works for; at least one.
    pub(crate) worker_orchestrators: Vec<Endpoint>,
    /// A worker's secret for the gates.
    pub(crate) worker_token_file: PathBuf,
    /// How a worker speaks TLS to the gates.
    pub(crate) worker_tls: Option<TunnelTls>,
    /// Whether a worker also works for those that it hears of.
    pub(crate) worker_discover: bool,
    /// The HTTP API.
    pub(crate) api: ApiSettings,
    /// Pumps in one process.
    pub(crate) pumps: u32,
    /// Where workers of other machines reach the gate, if that was said.
    pub(crate) advertise: Option<Endpoint>,
    /// The largest message.
    pub(crate) message_bytes_max: usize,
    /// Compiled code on disk.
    pub(crate) compiled_bytes_max: u64,
    /// What plugins may reach.
    pub(crate) grants: Vec<GrantSpec>,
    /// Fetched components on disk.
    pub(crate) components_bytes_max: u64,
    /// The sandbox, for the worker.
    pub(crate) engine: EngineOptions,
    /// What goes out of it.
    pub(crate) egress: EgressOptions,
    /// Whether plugins may call every public host, and what they ask for is noted.
    pub(crate) observe: bool,
    /// Certificates that it trusts beside the public ones.
    pub(crate) http_certificates: Option<PathBuf>,
    /// Private networks that webhooks may lead to.
    pub(crate) webhook_networks: Vec<IpNet>,
    /// Where registered plugins are kept; empty for the folder in the data directory.
    pub(crate) registry_url: String,
    /// OCI registries to speak plain HTTP with.
    pub(crate) oci_insecure_hosts: Vec<String>,
    /// Variables that are no settings.
    pub(crate) variables: Variables,
    trust: Vec<TrustSetting>,
    orchestrator: OrchestratorOptions,
    pruner: PrunerOptions,
    worker: WorkerOptions,
}

impl Config {
    /// Reads the settings; what is wrong is added to the layers' problems, with the default in its place.
    pub(crate) fn read(layers: &mut Layers) -> Self {
        let mut read = Reader(layers);
        let data_dir = PathBuf::from(read.text("data_dir"));
        let below = |text: String, name: &str| {
            if text.is_empty() { data_dir.join(name) } else { PathBuf::from(text) }
        };
        let run_dir = below(read.text("run_dir"), "run");
        let file = below(read.text("store.path"), "stepwright.db");
        let url = read.text("store.url");
        let database = if url.is_empty() { Database::File(file) } else { Database::Server(url) };
        let worker_token_file = below(read.text("worker.token_file"), "worker.token");
        let gate = read.gate();
        let worker_orchestrators = read.endpoints("worker.orchestrators", run_dir.join(SOCKET));
        let engine = read.engine();
        let webhook_networks = read.networks("webhooks.networks");
        let http_certificates = read.text("sandbox.http_certificates");
        Self {
            database,
            worker_token_file,
            worker_tls: read.tunnel_tls(&worker_orchestrators),
            worker_orchestrators,
            environment: read.text("environment"),
            api: read.api(),
            threads: read.count("threads"),
            log_level: read.text("log.level"),
            log_format: match read.text("log.format").as_str() {
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                _ => LogFormat::Auto,
            },
            worker_discover: read.text("worker.discover") == "true",
            pumps: u32::try_from(read.number("orchestrator.pumps")).unwrap_or(1).max(1),
            advertise: read.advertised("orchestrator.advertise", gate.as_ref()),
            gate,
            message_bytes_max: read.count("wire.message_bytes_max"),
            compiled_bytes_max: read.number("sandbox.compiled_bytes_max"),
            components_bytes_max: read.number("worker.components_bytes_max"),
            registry_url: read.text("registry.url"),
            oci_insecure_hosts: read.list("registry.oci_insecure_hosts"),
            variables: Variables::default(),
            trust: read.0.trust.clone(),
            orchestrator: read.orchestrator(),
            pruner: read.pruner(),
            worker: read.worker(),
            grants: std::mem::take(&mut read.0.grants),
            engine,
            egress: read.egress(),
            observe: read.text("sandbox.observe") == "true",
            webhook_networks,
            http_certificates: (!http_certificates.is_empty()).then(|| PathBuf::from(http_certificates)),
            data_dir,
            run_dir,
        }
    }

    /// Whose signatures plugins need. Reads the files of the keys.
    pub(crate) fn trust(&self) -> Result<TrustPolicy, CliError> {
        trust::load(&self.trust)
    }

    /// Where components are kept.
    pub(crate) fn plugin_dir(&self) -> PathBuf {
        self.data_dir.join("plugins")
    }

    /// Where compiled components are kept.
    pub(crate) fn compiled_dir(&self) -> PathBuf {
        self.data_dir.join("compiled")
    }

    /// Where steps have directories of their own.
    pub(crate) fn scratch_dir(&self) -> PathBuf {
        self.data_dir.join("scratch")
    }

    /// Where what plugins asked for is written down.
    pub(crate) fn observed_dir(&self) -> PathBuf {
        self.data_dir.join("observed")
    }

    /// Where a worker keeps the components that it has fetched.
    pub(crate) fn component_cache_dir(&self) -> PathBuf {
        self.data_dir.join("cache/components")
    }

    /// The orchestrator's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.run_dir.join(SOCKET)
    }

    /// The socket of one of its pumps, counted from 1.
    pub(crate) fn socket_of(&self, pump: u32) -> PathBuf {
        if pump == 1 { self.socket() } else { self.run_dir.join(format!("orchestrator-{pump}.sock")) }
    }

    /// For an orchestrator that starts now.
    pub(crate) fn orchestrator(&self, incarnation: &str) -> OrchestratorOptions {
        OrchestratorOptions { incarnation: incarnation.to_owned(), ..self.orchestrator.clone() }
    }

    /// What is removed, and when.
    pub(crate) fn pruner(&self) -> PrunerOptions {
        self.pruner.clone()
    }

    /// For a worker that starts now.
    pub(crate) fn worker(&self, incarnation: &str) -> WorkerOptions {
        let host = hostname();
        let name = if self.worker.name.is_empty() { host.clone() } else { self.worker.name.clone() };
        WorkerOptions {
            name,
            incarnation: incarnation.to_owned(),
            host,
            pid: std::process::id(),
            ..self.worker.clone()
        }
    }
}

/// The machine's name, as Linux shows it.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

/// Takes values out of the layers and notes what is wrong.
pub(super) struct Reader<'a>(&'a mut Layers);

impl Reader<'_> {
    /// The value as written, if it is what its kind demands; the default otherwise.
    pub(super) fn text(&mut self, key: &'static str) -> String {
        let (Some(setting), Some((value, origin))) = (find(key), self.0.values.get(key).cloned()) else {
            return String::new();
        };
        match fits(setting.kind, &value) {
            Ok(()) => value,
            Err(_) if value.is_empty() && setting.default.is_empty() => value,
            Err(problem) => {
                self.0.problem(origin.place, key, problem);
                setting.default.to_owned()
            }
        }
    }

    /// A number, a duration in milliseconds, or a size in bytes.
    pub(super) fn number(&mut self, key: &'static str) -> u64 {
        let text = self.text(key);
        let parsed = match find(key).map(|setting| setting.kind) {
            Some(Kind::Duration) => duration_ms(&text),
            Some(Kind::Size) => size_bytes(&text),
            _ => text.parse().map_err(|_| String::new()),
        };
        parsed.unwrap_or(0)
    }

    /// Texts separated by commas.
    fn list(&mut self, key: &'static str) -> Vec<String> {
        let text = self.text(key);
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    }

    fn networks(&mut self, key: &'static str) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in self.list(key) {
            match network(&text) {
                Ok(network) => networks.push(network),
                Err(problem) => self.problem(key, problem),
            }
        }
        networks
    }

    pub(super) fn count(&mut self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    pub(super) fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse();
        if parsed.is_err() {
            let problem = format!("'{text}' is not an address and a port; write for instance 127.0.0.1:5555");
            self.problem(key, problem);
        }
        parsed.ok()
    }

    /// Notes what is wrong with a setting.
    pub(super) fn problem(&mut self, key: &'static str, problem: String) {
        let place = self.0.values.get(key).map(|(_, origin)| origin.place.clone()).unwrap_or_default();
        self.0.problem(place, key, problem);
    }

    fn orchestrator(&mut self) -> OrchestratorOptions {
        OrchestratorOptions {
            incarnation: String::new(),
            heartbeat_ms: self.number("orchestrator.heartbeat"),
            lease_ms: self.number("orchestrator.lease"),
            reconnect_grace_ms: self.number("orchestrator.reconnect_grace"),
            batch: BatchLimits {
                steps_max: self.count("orchestrator.batch_steps_max"),
                bytes_max: self.count("orchestrator.batch_bytes_max"),
            },
            message_bytes_max: self.number("wire.message_bytes_max"),
            payload_bytes_max: self.number("wire.payload_bytes_max"),
            claim_steps_max: self.count("orchestrator.claim_steps_max"),
            outcomes_max: self.count("orchestrator.outcomes_max"),
            tick_ms: self.number("orchestrator.tick"),
            audit_ms: self.number("orchestrator.audit"),
            quarantine_losses: u32::try_from(self.number("orchestrator.quarantine_losses"))
                .unwrap_or(u32::MAX),
        }
    }

    fn pruner(&mut self) -> PrunerOptions {
        let kept = [
            (TaskState::Complete, self.number("retention.complete")),
            (TaskState::Cancelled, self.number("retention.cancelled")),
            (TaskState::ResolvedManually, self.number("retention.resolved_manually")),
            (TaskState::Error, self.number("retention.error")),
        ];
        let archive = self.text("retention.archive_dir");
        PrunerOptions {
            // What is not set is kept for ever.
            keep_ms: kept.into_iter().filter(|(_, kept)| *kept > 0).collect(),
            events_keep_ms: Some(self.number("retention.events")).filter(|kept| *kept > 0),
            archive: (!archive.is_empty()).then(|| Archive::new(archive)),
            steps_max: self.count("retention.steps_max"),
            pause_ms: self.number("retention.pause"),
            interval_ms: self.number("retention.interval"),
        }
    }

    fn worker(&mut self) -> WorkerOptions {
        let cpus =
            std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1));
        let chosen = |number: u64| u32::try_from(number).ok().filter(|number| *number > 0);
        let slots = chosen(self.number("worker.slots")).unwrap_or(cpus);
        let usual = WorkerOptions::new(self.text("worker.name"), "", slots);
        WorkerOptions {
            credit: chosen(self.number("worker.credit")).unwrap_or(usual.credit),
            credit_bytes: self.number("worker.credit_bytes"),
            drain_ms: self.number("worker.drain"),
            ..usual
        }
    }

    fn engine(&mut self) -> EngineOptions {
        let compile_time = Duration::from_millis(self.number("sandbox.compile_time"));
        EngineOptions {
            memory_bytes_max: self.number("sandbox.memory"),
            memory_bytes_ceiling: self.number("sandbox.memory_ceiling"),
            cpu_max: Duration::from_millis(self.number("sandbox.cpu")),
            output_bytes_max: self.number("sandbox.output"),
            log_bytes_max: self.count("sandbox.log_bytes_max"),
            log_lines_max: self.count("sandbox.log_lines_max"),
            host_call_bytes_max: self.number("sandbox.host_call_bytes_max"),
            host_calls_max: self.number("sandbox.host_calls_max"),
            file_bytes_max: self.number("sandbox.file_bytes_max"),
            component_bytes_max: self.count("sandbox.component_bytes_max"),
            compiler: Compiler::Process(CompilerProcess {
                // The very program that runs, also after another was put in its place.
                program: PathBuf::from("/proc/self/exe"),
                arguments: vec!["compile-component".into()],
                cpu_max: compile_time,
                wall_max: CompilerProcess::wall_for(compile_time),
                memory_bytes_max: self.number("sandbox.compile_memory"),
            }),
            ..EngineOptions::default()
        }
    }

    fn egress(&mut self) -> EgressOptions {
        let usual = EgressOptions::default();
        let chosen = |number: u64, usual: u32| u32::try_from(number).unwrap_or(usual);
        EgressOptions {
            connect_max: Duration::from_millis(self.number("sandbox.http_connect")),
            first_byte_max: Duration::from_millis(self.number("sandbox.http_first_byte")),
            between_bytes_max: Duration::from_millis(self.number("sandbox.http_between_bytes")),
            bytes_in_max: self.number("sandbox.http_bytes_in_max"),
            bytes_out_max: self.number("sandbox.http_bytes_out_max"),
            calls_max: chosen(self.number("sandbox.http_calls_max"), usual.calls_max),
            connections_max: chosen(self.number("sandbox.http_connections_max"), usual.connections_max),
            connections_process_max: chosen(
                self.number("sandbox.http_connections_process_max"),
                usual.connections_process_max,
            ),
            ..usual
        }
    }
}

fn fits(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::Path => Ok(()),
        Kind::Filter => crate::telemetry::filter(value).map(drop),
        Kind::Url
            if value.is_empty() || value.starts_with("postgres://") || value.starts_with("postgresql://") =>
        {
            Ok(())
        }
        Kind::Url => Err(format!(
            "'{}' is no address of PostgreSQL; write postgres://user:password@host:5432/database",
            without_password(kind, value)
        )),
        Kind::Place if value.is_empty() || is_address(value) => Ok(()),
        Kind::Place => {
            Err(format!("'{}' is no place for plugins; write {ADDRESSES}", without_password(kind, value)))
        }
        Kind::Duration => duration_ms(value).and_then(|ms| above_zero(ms, value)),
        Kind::Size => size_bytes(value).and_then(|bytes| above_zero(bytes, value)),
        Kind::Number(least, most) => match value.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(format!("'{value}' is not a whole number from {least} to {most}")),
        },
        Kind::Flag if matches!(value, "true" | "false") => Ok(()),
        Kind::Flag => Err(format!("'{value}' is neither true nor false")),
        Kind::OneOf(words) if words.contains(&value) => Ok(()),
        Kind::OneOf(words) => Err(format!("'{value}' is not one of {}", words.join(", "))),
    }
}

fn above_zero(number: u64, value: &str) -> Result<(), String> {
    if number > 0 { Ok(()) } else { Err(format!("'{value}' must be more than nothing")) }
}
