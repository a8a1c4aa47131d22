//! The in-process twin of the ZeroMQ ports: the same traits and the same behaviour, with values for bytes.
//!
//! Messages are moved, not encoded, so bytes are neither checked nor counted. Who leaves too many messages unread is
//! disconnected, as a stalled peer would be; an orchestrator's port that is gone can be opened again, as a restarted process
//! would.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use crate::backlog::MESSAGES_MAX;
use crate::port::{
    ConnectionId, OrchestratorEvent, OrchestratorPort, PortStats, SendError, WorkerEvent, WorkerPort,
};
use crate::wire::{FromWorker, ToWorker};

#[allow(clippy::large_enum_variant, reason = "most are messages; a box would be an allocation for each")]
enum Signal {
    Opened(ConnectionId, Peer),
    Message(ConnectionId, FromWorker),
    Closed(ConnectionId),
}

/// What the orchestrator knows of a worker.
struct Peer {
    messages: mpsc::Sender<ToWorker>,
    /// Messages of this worker that the orchestrator has not received yet.
    unread: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Meeting {
    connections: u64,
    orchestrator: Option<mpsc::UnboundedSender<Signal>>,
}

/// Where workers of this process find the orchestrator of this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalHub {
    meeting: Arc<Mutex<Meeting>>,
    /// Wakes workers in the order in which they began to wait, which a simulation rests on.
    opened: Arc<Notify>,
}

/// An orchestrator's port, and the hub for workers.
pub fn hub() -> (LocalOrchestratorPort, LocalHub) {
    let hub = LocalHub { meeting: Arc::default(), opened: Arc::default() };
    (hub.open(), hub)
}

impl LocalHub {
    fn meeting(&self) -> MutexGuard<'_, Meeting> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new orchestrator's port in place of the one before, which is cut off.
    pub fn open(&self) -> LocalOrchestratorPort {
        // Bounded by what each worker may leave unread.
        let (sender, signals) = mpsc::unbounded_channel();
        self.meeting().orchestrator = Some(sender);
        self.opened.notify_waiters();
        LocalOrchestratorPort {
            signals,
            workers: BTreeMap::new(),
            cut: VecDeque::new(),
            stats: PortStats::default(),
        }
    }

    /// A worker's port.
    pub fn connect(&self) -> LocalWorkerPort {
        LocalWorkerPort { hub: self.clone(), connection: None, stats: PortStats::default(), closed: false }
    }

    fn meet(&self) -> Option<Connection> {
        let mut meeting = self.meeting();
        let orchestrator = meeting.orchestrator.clone()?;
        meeting.connections += 1;
        let id = ConnectionId(meeting.connections);
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let unread = Arc::default();
        let peer = Peer { messages: sender, unread: Arc::clone(&unread) };
        match orchestrator.send(Signal::Opened(id, peer)) {
            Ok(()) => Some(Connection { id, orchestrator, messages, unread, given_up: false }),
            Err(_) => {
                meeting.orchestrator = None;
                None
            }
        }
    }
}

/// See [`hub`].
pub struct LocalOrchestratorPort {
    signals: mpsc::UnboundedReceiver<Signal>,
    /// In the order of their connections, so that they learn of the end in that order: a simulation can be played again.
    workers: BTreeMap<ConnectionId, Peer>,
    /// Connections that were cut from this side, and not reported yet.
    cut: VecDeque<ConnectionId>,
    stats: PortStats,
}

impl LocalOrchestratorPort {
    /// What `recv` does, without its box. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<OrchestratorEvent> {
        loop {
            if let Some(connection) = self.cut.pop_front() {
                return Some(OrchestratorEvent::Disconnected(connection));
            }
            match self.signals.recv().await? {
                Signal::Opened(connection, peer) => {
                    self.workers.insert(connection, peer);
                }
                Signal::Message(connection, message) => {
                    // None: it was cut already.
                    if let Some(peer) = self.workers.get(&connection) {
                        peer.unread.fetch_sub(1, Ordering::Relaxed);
                        self.stats.received += 1;
                        return Some(OrchestratorEvent::Message(connection, message));
                    }
                }
                Signal::Closed(connection) => {
                    if self.workers.remove(&connection).is_some() {
                        return Some(OrchestratorEvent::Disconnected(connection));
                    }
                }
            }
        }
    }
}

#[async_trait]
impl OrchestratorPort for LocalOrchestratorPort {
    async fn recv(&mut self) -> Option<OrchestratorEvent> {
        self.next().await
    }

    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError> {
        let worker = self.workers.get(&to).ok_or(SendError::Gone)?;
        if worker.messages.try_send(message).is_err() {
            self.disconnect(to);
            return Err(SendError::Gone);
        }
        self.stats.sent += 1;
        Ok(())
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        if self.workers.remove(&connection).is_some() {
            self.cut.push_back(connection);
        }
    }

    fn stats(&self) -> PortStats {
        self.stats
    }

    async fn close(&mut self) {
        self.signals.close();
        // Those that had just connected are in there.
        while self.signals.try_recv().is_ok() {}
        self.workers.clear();
        self.cut.clear();
    }
}

struct Connection {
    id: ConnectionId,
    orchestrator: mpsc::UnboundedSender<Signal>,
    messages: mpsc::Receiver<ToWorker>,
    unread: Arc<AtomicUsize>,
    given_up: bool,
}

impl Connection {
    /// The orchestrator is told at once; what it had sent is still read, and then the end is.
    fn give_up(&mut self) {
        self.given_up = true;
        self.messages.close();
        let _ = self.orchestrator.send(Signal::Closed(self.id));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.given_up {
            self.give_up();
        }
    }
}

/// See [`LocalHub::connect`].
pub struct LocalWorkerPort {
    hub: LocalHub,
    connection: Option<Connection>,
    stats: PortStats,
    closed: bool,
}

#[async_trait]
impl WorkerPort for LocalWorkerPort {
    async fn recv(&mut self) -> Option<WorkerEvent> {
        if self.closed {
            return None;
        }
        if let Some(connection) = &mut self.connection {
            return match connection.messages.recv().await {
                Some(message) => {
                    self.stats.received += 1;
                    Some(WorkerEvent::Message(message))
                }
                None => {
                    self.connection = None;
                    Some(WorkerEvent::Disconnected)
                }
            };
        }
        loop {
            // From here on no opening is missed.
            let mut opened = std::pin::pin!(self.hub.opened.notified());
            opened.as_mut().enable();
            if let Some(connection) = self.hub.meet() {
                self.connection = Some(connection);
                return Some(WorkerEvent::Connected);
            }
            opened.await;
        }
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        let connection = self.connection.as_mut().filter(|known| !known.given_up).ok_or(SendError::Gone)?;
        if connection.unread.fetch_add(1, Ordering::Relaxed) >= MESSAGES_MAX {
            connection.give_up();
            return Err(SendError::Gone);
        }
        let message = Signal::Message(connection.id, message);
        connection.orchestrator.send(message).map_err(|_| SendError::Gone)?;
        self.stats.sent += 1;
        Ok(())
    }

    fn reconnect(&mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|known| !known.given_up) {
            connection.give_up();
        }
    }

    fn stats(&self) -> PortStats {
        self.stats
    }

    async fn close(&mut self) {
        self.connection = None;
        self.closed = true;
    }
}
