//! The orchestrator's side of the gate.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepwright_workflow::{Digest, TokenId};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission::until_gone;
use super::arrival::{Arrival, Arrivals};
use super::relay::{read_line, relay};
use super::{ACCEPT_PAUSE, AllowList, Entries, FrameGuard, GREETING, GateTls, Timeouts};

/// Between two lines of the log about connections that were turned away: they come as fast as somebody likes to make them.
const NOTICE_PAUSE: Duration = Duration::from_secs(1);

/// What a gate needs to know.
#[derive(Debug)]
pub struct GateOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// TLS, or none: then whoever is on the way reads along.
    pub tls: Option<GateTls>,
    /// Who may enter, as of now. A connection ends when its token is taken off the list or expires.
    pub allowed: watch::Receiver<AllowList>,
    /// The orchestrator's socket.
    pub path: PathBuf,
    /// The orchestrator's incarnation, told to whoever may enter.
    pub incarnation: String,
    /// The further pumps of its process, for those who ask for the second, the third and so on.
    pub further: Vec<Pump>,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
    /// Connections that are inside at once.
    pub connections_max: usize,
    /// How long peers are waited for.
    pub timeouts: Timeouts,
}

/// Another orchestrator behind the same gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pump {
    /// Its socket.
    pub path: PathBuf,
    /// Its incarnation.
    pub incarnation: String,
}

impl GateOptions {
    /// Socket and incarnation of the pump that is asked for, counted from 1.
    fn pump(&self, number: usize) -> Option<(&Path, &str)> {
        match number.checked_sub(2) {
            None => (number == 1).then_some((&self.path, &self.incarnation)),
            Some(at) => self.further.get(at).map(|pump| (pump.path.as_path(), pump.incarnation.as_str())),
        }
    }
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
    /// Connections that were turned away: no TLS, no token, a wrong one, too slow, or no place left.
    pub refused: u64,
    /// Connections that were cut for what they sent, or for being silent or deaf.
    pub cut: u64,
    /// Connections that ended with their token: it was revoked, or expired.
    pub expelled: u64,
    /// Connections that are inside now.
    pub inside: u64,
}

#[derive(Debug, Default)]
struct Counters {
    entered: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    expelled: AtomicU64,
}

/// A listener that is not being served yet.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: GateOptions,
    counters: Counters,
    entries: Entries,
    places: Arc<Semaphore>,
    /// When the last line about somebody that was turned away was written, and how many came since.
    noticed: Mutex<(Option<Instant>, u64)>,
}

impl Gate {
    /// Listens. Connections wait until [`Gate::run`].
    pub async fn bind(options: GateOptions) -> Result<Self, GateError> {
        let address = options.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => GateError::InUse { address },
            _ => GateError::Listen { address, source },
        })?;
        let shared = Shared {
            places: Arc::new(Semaphore::new(options.connections_max)),
            options,
            counters: Counters::default(),
            entries: Entries::default(),
            noticed: Mutex::default(),
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// Where it listens: with port 0 the system chose one.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Which tokens let somebody in; to be taken while the gate runs.
    pub fn entries(&self) -> Entries {
        self.shared.entries.clone()
    }

    /// A view of what the gate has seen that can be asked while it runs.
    pub fn stats(&self) -> impl Fn() -> GateStats + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || {
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let free = shared.places.available_permits();
            GateStats {
                entered: count(&shared.counters.entered),
                refused: count(&shared.counters.refused),
                cut: count(&shared.counters.cut),
                expelled: count(&shared.counters.expelled),
                inside: shared.options.connections_max.saturating_sub(free) as u64,
            }
        }
    }

    /// Serves until told to stop; every connection ends with it.
    pub async fn run(self, stop: CancellationToken) {
        let arrivals = Arrivals::default();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let deadline = Instant::now() + self.shared.options.timeouts.greeting;
                        let arrival = arrivals.arrive(peer.ip(), deadline);
                        let connection = Connection { shared: self.shared.clone(), peer };
                        connections.spawn(connection.serve(stream, arrival));
                    }
                    Err(error) => {
                        // Out of file handles, most likely: wait rather than spin.
                        tracing::warn!(%error, "the gate failed to accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
}

/// What let a connection in, and its place until it is dropped.
struct Entry {
    hash: Digest,
    token: TokenId,
    name: String,
    pump: Pump,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, arrival: Arrival) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.shared.options.tls else { return self.admit(stream, arrival).await };
        let handshake = tls.acceptor().accept(stream);
        let secured = arrival.within(async { handshake.await.map_err(|error| format!("no TLS: {error}")) });
        match secured.await {
            Ok(stream) => self.admit(stream, arrival).await,
            Err(reason) => self.refused(&reason),
        }
    }

    async fn admit(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, arrival: Arrival) {
        let entry = match arrival.within(self.greet(&mut stream)).await {
            Ok(entry) => entry,
            Err(reason) => {
                self.refused(&reason);
                let answer = format!("NO {reason}\n");
                let told = async {
                    stream.write_all(answer.as_bytes()).await?;
                    stream.shutdown().await
                };
                let _ = tokio::time::timeout(self.shared.options.timeouts.close, told).await;
                return;
            }
        };
        drop(arrival);
        self.shared.counters.entered.fetch_add(1, Ordering::Relaxed);
        self.shared.entries.note(entry.token);
        // The stream is closed after the count: whoever sees the end finds it counted.
        tokio::select! {
            end = self.pass(&mut stream, &entry.pump) => self.ended(&entry, end),
            () = until_gone(self.shared.options.allowed.clone(), entry.hash) => {
                self.shared.counters.expelled.fetch_add(1, Ordering::Relaxed);
                let Entry { token, name, .. } = &entry;
                tracing::warn!(peer = %self.peer, %token, name, "the token was revoked or expired: connection closed");
            }
        }
    }

    /// The first line, and who may enter with it.
    async fn greet(&self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Entry, String> {
        let line = read_line(stream).await.map_err(|error| error.to_string())?;
        let expected = || "the first line must be 'STEPWRIGHT/1 <token>'".to_owned();
        let said = line.trim_end_matches('\r').strip_prefix(GREETING).ok_or_else(expected)?;
        let (secret, pump) = said.split_once(' ').unwrap_or((said, "1"));
        let hash = Digest::of(secret.as_bytes());
        let admitted = self.shared.options.allowed.borrow().find(&hash, Instant::now()).cloned();
        let admitted = admitted.ok_or("the token is wrong, revoked or expired, or not of scope worker")?;
        let pump = self.pump(pump)?;
        let place = self.shared.places.clone().try_acquire_owned();
        let place = place.map_err(|_| "the gate has no place for another connection")?;
        Ok(Entry { hash, token: admitted.token, name: admitted.name, pump, _place: place })
    }

    /// The pump that is asked for.
    fn pump(&self, number: &str) -> Result<Pump, String> {
        let options = &self.shared.options;
        let found = number.parse().ok().and_then(|number| options.pump(number));
        let (path, incarnation) = found.ok_or_else(|| {
            format!("there is no such pump; they are numbered from 1 to {}", options.further.len() + 1)
        })?;
        Ok(Pump { path: path.to_owned(), incarnation: incarnation.to_owned() })
    }

    async fn pass(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), pump: &Pump) -> io::Result<()> {
        let options = &self.shared.options;
        let inner = UnixStream::connect(&pump.path).await?;
        stream.write_all(format!("OK {}\n", pump.incarnation).as_bytes()).await?;
        stream.flush().await?;
        relay(stream, inner, FrameGuard::new(options.message_bytes_max), &options.timeouts).await
    }

    fn ended(&self, entry: &Entry, end: io::Result<()>) {
        let Err(error) = end else { return };
        if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut) {
            self.shared.counters.cut.fetch_add(1, Ordering::Relaxed);
        }
        tracing::warn!(peer = %self.peer, token = %entry.token, name = entry.name, %error, "the gate closed a connection");
    }

    fn refused(&self, reason: &str) {
        self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut noticed = self.shared.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.0.is_some_and(|last| now < last + NOTICE_PAUSE) {
            noticed.1 += 1;
            return;
        }
        let unmentioned = std::mem::take(&mut noticed.1);
        noticed.0 = Some(now);
        tracing::warn!(peer = %self.peer, reason, unmentioned, "the gate turned a connection away");
    }
}
