//! The worker's side of the gate: a private ipc socket whose connections come out at the gate.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::relay::{read_line, relay};
use super::tls::server_name;
use super::{ACCEPT_PAUSE, FrameGuard, GREETING, Timeouts, Token, TunnelTls};
use crate::zmq::{PathError, private_folder};

/// What a tunnel needs to know.
#[derive(Debug, Clone)]
pub struct TunnelOptions {
    /// The gate, as `host:port`.
    pub gate: String,
    /// Which pump behind the gate, counted from 1.
    pub pump: u32,
    /// Where the token is read from, anew for each connection: what was rotated counts from the next one on.
    pub token_file: PathBuf,
    /// TLS, or none.
    pub tls: Option<TunnelTls>,
    /// The socket to make, in a folder of mode 0700.
    pub path: PathBuf,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
    /// How long the gate is waited for.
    pub timeouts: Timeouts,
}

/// Why a tunnel is not made.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The socket.
    #[error("failed to listen on {}: {source}", .path.display())]
    Listen {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket that is not being served yet.
#[derive(Debug)]
pub struct Tunnel {
    listener: UnixListener,
    options: TunnelOptions,
}

impl Tunnel {
    /// Listens. The gate need not be there yet.
    pub fn bind(options: TunnelOptions) -> Result<Self, TunnelError> {
        let path = &options.path;
        private_folder(path.parent().unwrap_or(Path::new(".")))?;
        crate::zmq::free_socket(path)?;
        let listener =
            UnixListener::bind(path).map_err(|source| TunnelError::Listen { path: path.clone(), source })?;
        Ok(Self { listener, options })
    }

    /// Serves until told to stop; every connection ends with it.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(pass(self.options.clone(), stream))),
                    Err(error) => {
                        tracing::warn!(%error, "the tunnel failed to accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        let _ = std::fs::remove_file(&self.options.path);
    }
}

async fn pass(options: TunnelOptions, worker: UnixStream) {
    // Closing the worker's stream makes it try again, with its own pauses.
    if let Err(error) = through(&options, worker).await {
        tracing::warn!(gate = options.gate, %error, "the way through the gate ended");
    }
}

async fn through(options: &TunnelOptions, worker: UnixStream) -> io::Result<()> {
    let deadline = Instant::now() + options.timeouts.greeting;
    let stream = within(deadline, TcpStream::connect(&options.gate)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &options.tls else { return enter(options, stream, worker, deadline).await };
    // Both files are read anew, so that what was replaced counts from the next connection on.
    let connector = tls.connector().map_err(io::Error::other)?;
    let handshake = connector.connect(server_name(&options.gate)?, stream);
    let stream = within(deadline, handshake).await?;
    enter(options, stream, worker, deadline).await
}

async fn enter(
    options: &TunnelOptions,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    worker: UnixStream,
    deadline: Instant,
) -> io::Result<()> {
    let token = Token::read(&options.token_file).map_err(io::Error::other)?;
    within(deadline, greet(&mut stream, &token, options.pump)).await?;
    relay(stream, worker, FrameGuard::new(options.message_bytes_max), &options.timeouts).await
}

async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    token: &Token,
    pump: u32,
) -> io::Result<()> {
    let pump = if pump > 1 { format!(" {pump}") } else { String::new() };
    stream.write_all(format!("{GREETING}{}{pump}\n", token.reveal()).as_bytes()).await?;
    stream.flush().await?;
    let line = read_line(stream).await?;
    match line.strip_prefix("NO ") {
        Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason.to_owned())),
        None if line.starts_with("OK ") => Ok(()),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no gate that answers")),
    }
}

async fn within<T>(deadline: Instant, part: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(deadline, part).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
