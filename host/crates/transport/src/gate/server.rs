//! The orchestrator's side of the gate.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::relay::{read_line, relay};
use super::{ACCEPT_PAUSE, FrameGuard, GREETING, GREETINGS_MAX, LINE_TIMEOUT, Token};

/// What a gate needs to know.
#[derive(Debug, Clone)]
pub struct GateOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may enter.
    pub token: Token,
    /// The orchestrator's socket.
    pub path: PathBuf,
    /// The orchestrator's incarnation, told to whoever may enter.
    pub incarnation: String,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
    /// Connections at once, greeted or not.
    pub connections_max: usize,
}

/// Why a gate does not open.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The port is taken.
    #[error("{address} is in use by another process; stop it, or choose another port for the gate")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What a gate has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateStats {
    /// Connections that were let in.
    pub entered: u64,
    /// Connections that were turned away: no token, a wrong one, too slow, or no place left.
    pub refused: u64,
    /// Connections that were cut for what they sent.
    pub cut: u64,
}

#[derive(Debug, Default)]
struct Counters {
    entered: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

/// A listener that is not being served yet.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
    options: Arc<GateOptions>,
    counters: Arc<Counters>,
}

impl Gate {
    /// Listens. Connections wait until [`Gate::run`].
    pub async fn bind(options: GateOptions) -> Result<Self, GateError> {
        let address = options.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => GateError::InUse { address },
            _ => GateError::Listen { address, source },
        })?;
        Ok(Self { listener, options: Arc::new(options), counters: Arc::default() })
    }

    /// Where it listens: with port 0 the system chose one.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A view of what the gate has seen that can be asked while it runs.
    pub fn stats(&self) -> impl Fn() -> GateStats + Send + Sync + 'static {
        let counters = self.counters.clone();
        move || GateStats {
            entered: counters.entered.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            cut: counters.cut.load(Ordering::Relaxed),
        }
    }

    /// Serves until told to stop; every connection ends with it.
    pub async fn run(self, stop: CancellationToken) {
        let places = Places {
            connections: Arc::new(Semaphore::new(self.options.connections_max)),
            greetings: Arc::new(Semaphore::new(GREETINGS_MAX)),
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => match places.take() {
                        Some(place) => {
                            let (options, counters) = (self.options.clone(), self.counters.clone());
                            connections.spawn(Connection { options, counters, peer }.serve(stream, place));
                        }
                        None => self.turn_away(stream),
                    },
                    Err(error) => {
                        // Out of file handles, most likely: wait rather than spin.
                        tracing::warn!(%error, "the gate failed to accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn turn_away(&self, stream: TcpStream) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        // A few bytes into an empty buffer: nothing to wait for.
        if let Ok(mut stream) = stream.into_std() {
            let _ = stream.write(b"NO the gate has no place for another connection\n");
        }
    }
}

/// Room for connections, and for those that have not shown a token yet.
struct Places {
    connections: Arc<Semaphore>,
    greetings: Arc<Semaphore>,
}

struct Place {
    connection: OwnedSemaphorePermit,
    greeting: OwnedSemaphorePermit,
}

impl Places {
    fn take(&self) -> Option<Place> {
        let greeting = self.greetings.clone().try_acquire_owned().ok()?;
        let connection = self.connections.clone().try_acquire_owned().ok()?;
        Some(Place { connection, greeting })
    }
}

struct Connection {
    options: Arc<GateOptions>,
    counters: Arc<Counters>,
    peer: SocketAddr,
}

impl Connection {
    async fn serve(self, mut stream: TcpStream, place: Place) {
        let Place { connection: _held_to_the_end, greeting } = place;
        let _ = stream.set_nodelay(true);
        if let Err(reason) = self.greet(&mut stream).await {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer = %self.peer, reason, "the gate turned a connection away");
            let _ = stream.write_all(format!("NO {reason}\n").as_bytes()).await;
            return;
        }
        drop(greeting);
        self.counters.entered.fetch_add(1, Ordering::Relaxed);
        // The stream is closed after the count: whoever sees the end finds it counted.
        if let Err(error) = self.pass(&mut stream).await {
            if error.kind() == io::ErrorKind::InvalidData {
                self.counters.cut.fetch_add(1, Ordering::Relaxed);
            }
            tracing::warn!(peer = %self.peer, %error, "the gate closed a connection");
        }
    }

    async fn greet(&self, stream: &mut TcpStream) -> Result<(), String> {
        let line = tokio::time::timeout(LINE_TIMEOUT, read_line(stream)).await;
        let line = line
            .map_err(|_| "the first line took too long".to_owned())?
            .map_err(|error| error.to_string())?;
        let expected = || "the first line must be 'STEPWRIGHT/1 <token>'".to_owned();
        let token = line.trim_end_matches('\r').strip_prefix(GREETING).ok_or_else(expected)?;
        if self.options.token.matches(token) { Ok(()) } else { Err("the token is wrong".to_owned()) }
    }

    async fn pass(&self, stream: &mut TcpStream) -> io::Result<()> {
        let inner = UnixStream::connect(&self.options.path).await?;
        stream.write_all(format!("OK {}\n", self.options.incarnation).as_bytes()).await?;
        relay(stream, inner, FrameGuard::new(self.options.message_bytes_max)).await
    }
}
