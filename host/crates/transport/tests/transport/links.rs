//! The ways in which an orchestrator and its workers can be linked.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stepwright_transport::gate::{
    Admitted, AllowList, Entries, Gate, GateFiles, GateOptions, GateStats, GateTls, Pump, Timeouts, Token,
    Tunnel, TunnelOptions, TunnelTls,
};
use stepwright_transport::joined::join;
use stepwright_transport::local::{self, LocalHub, LocalOrchestratorPort};
use stepwright_transport::port::{OrchestratorPort, WorkerPort};
use stepwright_transport::zmq::{self, BindOptions, ConnectOptions};
use stepwright_workflow::TokenId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::certificates::Authority;

pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// One way. An orchestrator's port can be opened again once the one before was closed.
#[async_trait]
pub(crate) trait Link: Send + Sync {
    async fn open(&self) -> Box<dyn OrchestratorPort>;
    async fn connect(&self) -> Box<dyn WorkerPort>;
}

pub(crate) struct Local {
    hub: LocalHub,
    first: Mutex<Option<LocalOrchestratorPort>>,
}

impl Local {
    pub(crate) async fn new() -> Self {
        let (port, hub) = local::hub();
        Self { hub, first: Mutex::new(Some(port)) }
    }

    fn port(&self) -> LocalOrchestratorPort {
        let first = self.first.lock().unwrap().take();
        first.unwrap_or_else(|| self.hub.open())
    }
}

#[async_trait]
impl Link for Local {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        Box::new(self.port())
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        Box::new(self.hub.connect())
    }
}

pub(crate) struct Zmq {
    pub(crate) folder: tempfile::TempDir,
}

impl Zmq {
    pub(crate) async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("run/o.sock")
    }

    /// Where a second pump would listen.
    pub(crate) fn second(&self) -> PathBuf {
        self.folder.path().join("run/o-2.sock")
    }

    pub(crate) fn bind_options(&self) -> BindOptions {
        BindOptions {
            path: self.path(),
            incarnation: "orchestrator".to_owned(),
            message_bytes_max: MESSAGE_BYTES_MAX,
        }
    }
}

#[async_trait]
impl Link for Zmq {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        Box::new(zmq::bind(self.bind_options()).await.unwrap())
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        Box::new(connect(self.path()))
    }
}

fn connect(path: PathBuf) -> zmq::ZmqWorkerPort {
    let options = ConnectOptions {
        routes: vec![path].into(),
        incarnation: "worker".to_owned(),
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    zmq::connect(options).unwrap()
}

/// One port for both: every other worker comes from outside, the first one of them.
pub(crate) struct Joined {
    local: Local,
    zmq: Zmq,
    workers: AtomicUsize,
}

impl Joined {
    pub(crate) async fn new() -> Self {
        Self { local: Local::new().await, zmq: Zmq::new().await, workers: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Link for Joined {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        let outside = zmq::bind(self.zmq.bind_options()).await.unwrap();
        Box::new(join(self.local.port(), outside))
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        let from_outside = self.workers.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if from_outside { self.zmq.connect().await } else { self.local.connect().await }
    }
}

/// Through TCP: tunnel, gate, ipc.
pub(crate) struct Gated {
    pub(crate) inner: Zmq,
    pub(crate) address: SocketAddr,
    pub(crate) stats: Box<dyn Fn() -> GateStats + Send + Sync>,
    /// Who may enter. The worker's secret is on it from the start.
    pub(crate) keeper: watch::Sender<AllowList>,
    pub(crate) entries: Entries,
    pub(crate) tls: Option<TunnelTls>,
    tunnels: Mutex<u32>,
    serving: Mutex<JoinSet<()>>,
}

/// The usual ones, with time for honest peers on a machine that stands still for some seconds.
pub(crate) fn patient() -> Timeouts {
    Timeouts { greeting: Duration::from_secs(60), ..Timeouts::default() }
}

/// How a gate for tests differs from an ordinary one.
pub(crate) struct GateSetup {
    pub(crate) connections_max: usize,
    pub(crate) timeouts: Timeouts,
    /// The certificates of a gate, and what is handed to whoever comes to it.
    pub(crate) tls: Option<(GateFiles, TunnelTls)>,
    /// Holds their files.
    pub(crate) inner: Zmq,
}

impl GateSetup {
    pub(crate) async fn plain() -> Self {
        Self { connections_max: 64, timeouts: patient(), tls: None, inner: Zmq::new().await }
    }

    /// With TLS, and certificates for workers too if they must show one.
    pub(crate) async fn tls(mutual: bool) -> Self {
        let inner = Zmq::new().await;
        let authority = Authority::new(inner.folder.path(), "authority");
        let (certificate, key) = authority.sign("127.0.0.1");
        let client_ca = mutual.then(|| authority.ca());
        let identity = mutual.then(|| authority.sign("worker"));
        let files = GateFiles { certificate, key, client_ca };
        let tls = Some((files, TunnelTls { ca: authority.ca(), identity }));
        Self { connections_max: 64, timeouts: patient(), tls, inner }
    }
}

/// The secret with this number, and what a list says of it.
pub(crate) fn secret(number: u8) -> Token {
    Token::from_random(&[number; 32])
}

/// A list with these secrets on it.
pub(crate) fn allow(secrets: &[(u8, Option<Instant>)]) -> AllowList {
    AllowList::new(secrets.iter().map(|(number, until)| {
        let token = TokenId(i64::from(*number));
        (secret(*number).hash(), Admitted { token, name: format!("w{number}"), until: *until })
    }))
}

impl Gated {
    pub(crate) async fn new() -> Self {
        Self::with(GateSetup::plain().await).await
    }

    pub(crate) async fn with(setup: GateSetup) -> Self {
        let GateSetup { connections_max, timeouts, tls, inner } = setup;
        let (keeper, allowed) = watch::channel(allow(&[(0, None)]));
        let (files, tls) = tls.unzip();
        let gate = Gate::bind(GateOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: files.map(|files| GateTls::load(files).unwrap()),
            allowed,
            path: inner.path(),
            incarnation: "orchestrator".to_owned(),
            further: vec![Pump { path: inner.second(), incarnation: "second".to_owned() }],
            message_bytes_max: MESSAGE_BYTES_MAX,
            connections_max,
            timeouts,
        });
        let gate = gate.await.unwrap();
        let (address, stats, entries) = (gate.address().unwrap(), Box::new(gate.stats()), gate.entries());
        let mut serving = JoinSet::new();
        serving.spawn(gate.run(CancellationToken::new()));
        let (tunnels, serving) = (Mutex::new(0), Mutex::new(serving));
        Self { inner, address, stats, keeper, entries, tls, tunnels, serving }
    }

    /// A worker with the secret of this number.
    pub(crate) fn worker(&self, number: u8) -> zmq::ZmqWorkerPort {
        self.worker_with(number, self.tls.clone())
    }

    /// A worker that trusts, and shows, something of its own.
    pub(crate) fn worker_with(&self, number: u8, tls: Option<TunnelTls>) -> zmq::ZmqWorkerPort {
        self.worker_to(1, number, tls)
    }

    /// To one of the pumps.
    pub(crate) fn worker_to(&self, pump: u32, number: u8, tls: Option<TunnelTls>) -> zmq::ZmqWorkerPort {
        let folder = self.inner.folder.path();
        let token_file = folder.join(format!("token-{number}"));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&token_file);
        file.unwrap().write_all(secret(number).reveal().as_bytes()).unwrap();
        let tunnel = {
            let mut tunnels = self.tunnels.lock().unwrap();
            *tunnels += 1;
            *tunnels
        };
        let path = folder.join(format!("run/t{tunnel}.sock"));
        let options = TunnelOptions {
            gate: self.address.to_string(),
            pump,
            token_file,
            tls,
            path: path.clone(),
            message_bytes_max: MESSAGE_BYTES_MAX,
            timeouts: patient(),
        };
        let tunnel = Tunnel::bind(options).unwrap();
        self.serving.lock().unwrap().spawn(tunnel.run(CancellationToken::new()));
        connect(path)
    }
}

#[async_trait]
impl Link for Gated {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        self.inner.open().await
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        Box::new(self.worker(0))
    }
}

/// The same with TLS and certificates on both sides.
pub(crate) struct Secured(Gated);

impl Secured {
    pub(crate) async fn new() -> Self {
        Self(Gated::with(GateSetup::tls(true).await).await)
    }
}

#[async_trait]
impl Link for Secured {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        self.0.open().await
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        self.0.connect().await
    }
}
