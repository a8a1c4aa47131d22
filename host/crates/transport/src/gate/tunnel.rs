//! The worker's side of the gate: a private ipc socket whose connections come out at the gate.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::relay::{read_line, relay};
use super::{ACCEPT_PAUSE, FrameGuard, GREETING, LINE_TIMEOUT, Token};
use crate::zmq::{PathError, private_folder};

/// What a tunnel needs to know.
#[derive(Debug, Clone)]
pub struct TunnelOptions {
    /// The gate, as `host:port`.
    pub gate: String,
    /// The gate's token.
    pub token: Token,
    /// The socket to make, in a folder of mode 0700.
    pub path: PathBuf,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
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
    match enter(&options).await {
        Ok(gate) => {
            if let Err(error) = relay(gate, worker, FrameGuard::new(options.message_bytes_max)).await {
                tracing::warn!(gate = options.gate, %error, "the connection through the gate ended");
            }
        }
        Err(error) => tracing::warn!(gate = options.gate, %error, "failed to pass the gate"),
    }
}

async fn enter(options: &TunnelOptions) -> io::Result<TcpStream> {
    let greeting = async {
        let mut stream = TcpStream::connect(&options.gate).await?;
        stream.set_nodelay(true)?;
        stream.write_all(format!("{GREETING}{}\n", options.token.as_str()).as_bytes()).await?;
        let line = read_line(&mut stream).await?;
        match line.strip_prefix("NO ") {
            Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason.to_owned())),
            None if line.starts_with("OK ") => Ok(stream),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no gate that answers")),
        }
    };
    tokio::time::timeout(LINE_TIMEOUT, greeting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
