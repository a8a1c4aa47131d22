//! A line between some processes and the gates of the orchestrators that can be cut and mended: nothing passes either way, and
//! nobody is told.

use std::net::SocketAddr;
use std::process::{Command, Output};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// See the module.
pub enum Line {
    /// A proxy that holds everything back while it is cut: bytes, ends and new connections.
    Proxy(Proxy),
    /// A network namespace of its own, whose packets go to nobody while it is cut.
    Namespace(Namespace),
}

impl Line {
    /// Through a proxy, which works everywhere.
    pub fn through_a_proxy() -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (cut, _) = watch::channel(false);
        Self::Proxy(Proxy { runtime: Some(threads.expect("a runtime")), cut })
    }

    /// Out of a network namespace. An error says why there can be none here.
    pub fn out_of_a_namespace() -> Result<Self, String> {
        Namespace::make().map(Self::Namespace)
    }

    /// Where gates are to listen.
    pub fn listen(&self) -> String {
        match self {
            Self::Proxy(_) => "127.0.0.1:0".to_owned(),
            Self::Namespace(namespace) => format!("{}:0", namespace.ours),
        }
    }

    /// What a process behind the line must be told, for a gate that listens there.
    pub fn way_to(&self, gate: &str) -> String {
        match self {
            Self::Proxy(proxy) => proxy.way_to(gate.parse().expect("a gate's address")).to_string(),
            Self::Namespace(_) => gate.to_owned(),
        }
    }

    /// A command that runs behind the line.
    pub fn behind(&self, command: &Command) -> Command {
        let mut behind = match self {
            Self::Proxy(_) => Command::new(command.get_program()),
            Self::Namespace(namespace) => {
                let mut within = Command::new("ip");
                within.args(["netns", "exec", &namespace.name]).arg(command.get_program());
                within
            }
        };
        behind.args(command.get_args()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if let Some(folder) = command.get_current_dir() {
            behind.current_dir(folder);
        }
        behind
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.set(true);
    }

    /// From now on everything passes, also what was held back.
    pub fn mend(&self) {
        self.set(false);
    }

    fn set(&self, cut: bool) {
        match self {
            Self::Proxy(proxy) => drop(proxy.cut.send_replace(cut)),
            Self::Namespace(namespace) => namespace.set(cut),
        }
    }
}

/// See [`Line::Proxy`].
pub struct Proxy {
    runtime: Option<Runtime>,
    cut: watch::Sender<bool>,
}

impl Proxy {
    fn way_to(&self, gate: SocketAddr) -> SocketAddr {
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let cut = self.cut.subscribe();
        #[allow(clippy::disallowed_methods, reason = "the runtime is this proxy's own, and ends with it")]
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            accept(listener, gate, cut).await;
        });
        address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, gate: SocketAddr, cut: watch::Receiver<bool>) {
    loop {
        let Ok((near, _)) = listener.accept().await else { return };
        #[allow(clippy::disallowed_methods, reason = "the runtime is the proxy's own, and ends with it")]
        tokio::spawn(pass(near, gate, cut.clone()));
    }
}

async fn pass(near: TcpStream, gate: SocketAddr, mut cut: watch::Receiver<bool>) {
    let _ = cut.wait_for(|cut| !*cut).await;
    let Ok(far) = TcpStream::connect(gate).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(copy(near_in, far_out, cut.clone()), copy(far_in, near_out, cut));
}

/// Copies one way. What is read at the moment of the cut is written when the line is mended, as TCP would send it again.
async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if cut.wait_for(|cut| !*cut).await.is_err() || count == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// See [`Line::Namespace`].
pub struct Namespace {
    name: String,
    /// The ends of the cable: this machine's and the namespace's.
    ends: [String; 2],
    ours: String,
    theirs: String,
}

/// Nobody has this address, so whatever is sent to it is heard by nobody.
const NOBODY: &str = "02:00:00:00:00:01";

impl Namespace {
    fn make() -> Result<Self, String> {
        let id = std::process::id();
        let (third, fourth) = (id / 64 % 256, id % 64 * 4);
        let namespace = Self {
            name: format!("sw-{id}"),
            ends: [format!("swa{id}"), format!("swb{id}")],
            ours: format!("10.213.{third}.{}", fourth + 1),
            theirs: format!("10.213.{third}.{}", fourth + 2),
        };
        // From here on its drop takes away whatever was made.
        let Self { name, ends: [near, far], ours, theirs } = &namespace;
        let commands = [
            format!("netns add {name}"),
            format!("link add {near} type veth peer name {far} netns {name}"),
            format!("addr add {ours}/30 dev {near}"),
            format!("link set {near} up"),
            format!("-n {name} addr add {theirs}/30 dev {far}"),
            format!("-n {name} link set {far} up"),
            format!("-n {name} link set lo up"),
        ];
        for command in &commands {
            ip(command)?;
        }
        Ok(namespace)
    }

    fn set(&self, cut: bool) {
        let Self { name, ends: [near, far], ours, theirs } = self;
        let commands = if cut {
            [
                format!("neigh replace {theirs} lladdr {NOBODY} dev {near} nud permanent"),
                format!("-n {name} neigh replace {ours} lladdr {NOBODY} dev {far} nud permanent"),
            ]
        } else {
            [format!("neigh del {theirs} dev {near}"), format!("-n {name} neigh del {ours} dev {far}")]
        };
        for command in &commands {
            ip(command).expect("the namespace is ours");
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.ends[0]));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let said = |Output { stderr, .. }: Output| String::from_utf8_lossy(&stderr).trim().to_owned();
    match Command::new("ip").args(arguments.split(' ')).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("'ip {arguments}' failed: {}", said(output))),
        Err(error) => Err(format!("there is no program 'ip': {error}")),
    }
}
