//! The in-process twin of the ZeroMQ ports: the same traits and the same behaviour, with values for bytes.
//!
//! Messages are moved, not encoded, so sizes are not checked. A queue that is full breaks the connection, as a stalled peer
//! would; an orchestrator's port that is gone can be opened again, as a restarted process would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::port::{
    ConnectionId, OrchestratorEvent, OrchestratorPort, PortStats, SendError, WorkerEvent, WorkerPort,
};
use crate::wire::{FromWorker, ToWorker};

/// Messages that one side may leave unread: far beyond what credit allows.
const QUEUE_MAX: usize = 16_384;

enum Signal {
    Opened(ConnectionId, mpsc::Sender<ToWorker>),
    Message(ConnectionId, FromWorker),
    Closed(ConnectionId),
}

#[derive(Default)]
struct Meeting {
    connections: u64,
    orchestrator: Option<mpsc::Sender<Signal>>,
}

/// Where workers of this process find the orchestrator of this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalHub {
    meeting: Arc<Mutex<Meeting>>,
    opened: watch::Sender<u64>,
}

/// An orchestrator's port, and the hub for workers.
pub fn hub() -> (LocalOrchestratorPort, LocalHub) {
    let hub = LocalHub { meeting: Arc::default(), opened: watch::Sender::new(0) };
    (hub.open(), hub)
}

impl LocalHub {
    fn meeting(&self) -> MutexGuard<'_, Meeting> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new orchestrator's port in place of the one before, which is cut off.
    pub fn open(&self) -> LocalOrchestratorPort {
        let (sender, signals) = mpsc::channel(QUEUE_MAX);
        self.meeting().orchestrator = Some(sender);
        self.opened.send_modify(|count| *count += 1);
        LocalOrchestratorPort {
            signals,
            workers: HashMap::new(),
            broken: Vec::new(),
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
        let (sender, messages) = mpsc::channel(QUEUE_MAX);
        match orchestrator.try_send(Signal::Opened(id, sender)) {
            Ok(()) => Some(Connection { id, orchestrator, messages }),
            Err(_) => {
                meeting.orchestrator = None;
                None
            }
        }
    }
}

/// See [`hub`].
pub struct LocalOrchestratorPort {
    signals: mpsc::Receiver<Signal>,
    workers: HashMap<ConnectionId, mpsc::Sender<ToWorker>>,
    /// Connections that were cut from this side, and not reported yet.
    broken: Vec<ConnectionId>,
    stats: PortStats,
}

#[async_trait]
impl OrchestratorPort for LocalOrchestratorPort {
    async fn recv(&mut self) -> Option<OrchestratorEvent> {
        loop {
            if let Some(connection) = self.broken.pop() {
                return Some(OrchestratorEvent::Disconnected(connection));
            }
            match self.signals.recv().await? {
                Signal::Opened(connection, sender) => {
                    self.workers.insert(connection, sender);
                }
                Signal::Message(connection, message) if self.workers.contains_key(&connection) => {
                    self.stats.received += 1;
                    return Some(OrchestratorEvent::Message(connection, message));
                }
                Signal::Closed(connection) if self.workers.remove(&connection).is_some() => {
                    return Some(OrchestratorEvent::Disconnected(connection));
                }
                // Of a connection that was cut already.
                Signal::Message(..) | Signal::Closed(_) => {}
            }
        }
    }

    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError> {
        let worker = self.workers.get(&to).ok_or(SendError::Gone)?;
        if worker.try_send(message).is_err() {
            self.disconnect(to);
            return Err(SendError::Gone);
        }
        self.stats.sent += 1;
        Ok(())
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        if self.workers.remove(&connection).is_some() {
            self.broken.push(connection);
        }
    }

    fn stats(&self) -> PortStats {
        self.stats
    }

    async fn close(&mut self) {
        self.signals.close();
        self.workers.clear();
    }
}

struct Connection {
    id: ConnectionId,
    orchestrator: mpsc::Sender<Signal>,
    messages: mpsc::Receiver<ToWorker>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // If the queue is full, the orchestrator learns it from its next send.
        let _ = self.orchestrator.try_send(Signal::Closed(self.id));
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
        let mut opened = self.hub.opened.subscribe();
        loop {
            if let Some(connection) = self.hub.meet() {
                self.connection = Some(connection);
                return Some(WorkerEvent::Connected);
            }
            // The hub itself holds the sender, so this ends only with a change.
            opened.changed().await.ok()?;
        }
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        let connection = self.connection.as_ref().ok_or(SendError::Gone)?;
        connection
            .orchestrator
            .try_send(Signal::Message(connection.id, message))
            .map_err(|_| SendError::Gone)?;
        self.stats.sent += 1;
        Ok(())
    }

    fn reconnect(&mut self) {
        if let Some(connection) = &mut self.connection {
            // The orchestrator is told at once; what it had sent is still read, and then the end is.
            connection.messages.close();
            let _ = connection.orchestrator.try_send(Signal::Closed(connection.id));
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
