//! The ways in which an orchestrator and its workers can be linked.

use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use stepwright_transport::gate::{Gate, GateOptions, GateStats, Token, Tunnel, TunnelOptions};
use stepwright_transport::local::{self, LocalHub, LocalOrchestratorPort};
use stepwright_transport::port::{OrchestratorPort, WorkerPort};
use stepwright_transport::zmq::{self, BindOptions, ConnectOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
}

#[async_trait]
impl Link for Local {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        let first = self.first.lock().unwrap().take();
        Box::new(first.unwrap_or_else(|| self.hub.open()))
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        Box::new(self.hub.connect())
    }
}

pub(crate) struct Zmq {
    folder: tempfile::TempDir,
}

impl Zmq {
    pub(crate) async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("run/o.sock")
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
        paths: vec![path],
        incarnation: "worker".to_owned(),
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    zmq::connect(options).unwrap()
}

/// Through TCP: tunnel, gate, ipc.
pub(crate) struct Gated {
    pub(crate) inner: Zmq,
    pub(crate) token: Token,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) stats: Box<dyn Fn() -> GateStats + Send + Sync>,
    tunnels: Mutex<u32>,
    serving: Mutex<JoinSet<()>>,
}

impl Gated {
    pub(crate) async fn new() -> Self {
        Self::with_connections(64).await
    }

    pub(crate) async fn with_connections(connections_max: usize) -> Self {
        let inner = Zmq::new().await;
        let token = Token::read_or_create(&inner.folder.path().join("token")).unwrap();
        let gate = Gate::bind(gate_options(&inner, &token, connections_max)).await.unwrap();
        let (address, stats) = (gate.address().unwrap(), Box::new(gate.stats()));
        let mut serving = JoinSet::new();
        serving.spawn(gate.run(CancellationToken::new()));
        Self { inner, token, address, stats, tunnels: Mutex::new(0), serving: Mutex::new(serving) }
    }

    pub(crate) fn gate_options(&self) -> GateOptions {
        gate_options(&self.inner, &self.token, 64)
    }

    pub(crate) fn token_text(&self) -> String {
        std::fs::read_to_string(self.inner.folder.path().join("token")).unwrap()
    }

    pub(crate) fn tunnel(&self, token: &Token) -> zmq::ZmqWorkerPort {
        let number = {
            let mut tunnels = self.tunnels.lock().unwrap();
            *tunnels += 1;
            *tunnels
        };
        let path = self.inner.folder.path().join(format!("run/t{number}.sock"));
        let options = TunnelOptions {
            gate: self.address.to_string(),
            token: token.clone(),
            path: path.clone(),
            message_bytes_max: MESSAGE_BYTES_MAX,
        };
        let tunnel = Tunnel::bind(options).unwrap();
        self.serving.lock().unwrap().spawn(tunnel.run(CancellationToken::new()));
        connect(path)
    }
}

fn gate_options(inner: &Zmq, token: &Token, connections_max: usize) -> GateOptions {
    GateOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: token.clone(),
        path: inner.path(),
        incarnation: "orchestrator".to_owned(),
        message_bytes_max: MESSAGE_BYTES_MAX,
        connections_max,
    }
}

#[async_trait]
impl Link for Gated {
    async fn open(&self) -> Box<dyn OrchestratorPort> {
        self.inner.open().await
    }

    async fn connect(&self) -> Box<dyn WorkerPort> {
        Box::new(self.tunnel(&self.token))
    }
}
