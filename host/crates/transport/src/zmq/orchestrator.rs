//! The orchestrator's end: the port before a ROUTER.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::path::{PathError, free_socket, private_folder};
use super::router::{Command, Router};
use super::{QUEUE_MAX, SharedStats, bytes};
use crate::backlog::Backlog;
use crate::codec::{Envelope, Message as _};
use crate::port::{ConnectionId, OrchestratorEvent, OrchestratorPort, PortStats, SendError};
use crate::wire::ToWorker;

/// What a ROUTER needs to know.
#[derive(Debug, Clone)]
pub struct BindOptions {
    /// The socket's path. Its folder is made with mode 0700, or must have it.
    pub path: PathBuf,
    /// This orchestrator's incarnation, for the headers.
    pub incarnation: String,
    /// The largest message either way, in bytes.
    pub message_bytes_max: usize,
}

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The socket.
    #[error("failed to listen on {}: {reason}", .path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// See [`bind`].
pub struct ZmqOrchestratorPort {
    events: mpsc::Receiver<OrchestratorEvent>,
    /// Without a bound of its own: each connection's backlog is the bound.
    commands: mpsc::UnboundedSender<Command>,
    connections: HashMap<ConnectionId, Connection>,
    envelope: Envelope,
    message_bytes_max: usize,
    stats: Arc<SharedStats>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connection {
    backlog: Backlog,
    /// Cut from this side; its `Disconnected` is on the way.
    cut: bool,
}

/// Listens. The port is ready when this returns.
pub async fn bind(options: BindOptions) -> Result<ZmqOrchestratorPort, BindError> {
    private_folder(options.path.parent().unwrap_or(Path::new(".")))?;
    free_socket(&options.path)?;
    let (event_sender, events) = mpsc::channel(QUEUE_MAX);
    let (commands, command_receiver) = mpsc::unbounded_channel();
    let (ready, bound) = oneshot::channel();
    let stats = Arc::new(SharedStats::default());
    let failed = |reason: String| BindError::Socket { path: options.path.clone(), reason };
    let router = Router::new(&options, event_sender, command_receiver, stats.clone());
    let path = options.path.clone();
    let spawned = std::thread::Builder::new().name("zmq-router".to_owned()).spawn(move || {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(router.run(path, ready)),
            Err(error) => drop(ready.send(Err(error.to_string()))),
        }
    });
    let thread = spawned.map_err(|error| failed(error.to_string()))?;
    match bound.await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => return Err(failed(reason)),
        Err(_) => return Err(failed("the socket's thread ended".to_owned())),
    }
    Ok(ZmqOrchestratorPort {
        events,
        commands,
        connections: HashMap::new(),
        envelope: Envelope::new(options.incarnation),
        message_bytes_max: options.message_bytes_max,
        stats,
        thread: Some(thread),
    })
}

impl ZmqOrchestratorPort {
    /// What `recv` does, without its box. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<OrchestratorEvent> {
        loop {
            let event = self.events.recv().await?;
            match &event {
                OrchestratorEvent::Message(from, _) => {
                    let connection = self.connections.entry(*from).or_default();
                    connection.backlog.heard();
                    if connection.cut {
                        continue;
                    }
                }
                OrchestratorEvent::Disconnected(connection) => drop(self.connections.remove(connection)),
            }
            return Some(event);
        }
    }
}

#[async_trait]
impl OrchestratorPort for ZmqOrchestratorPort {
    async fn recv(&mut self) -> Option<OrchestratorEvent> {
        self.next().await
    }

    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError> {
        let connection =
            self.connections.get_mut(&to).filter(|connection| !connection.cut).ok_or(SendError::Gone)?;
        let frames = message.encode(&mut self.envelope);
        let size = bytes(&frames);
        let total = usize::try_from(size).unwrap_or(usize::MAX);
        if total > self.message_bytes_max {
            return Err(SendError::TooLarge { bytes: total, bytes_max: self.message_bytes_max });
        }
        if !connection.backlog.take(size) {
            tracing::warn!(connection = to.0, "a worker does not read what it is sent; it is disconnected");
            self.disconnect(to);
            return Err(SendError::Gone);
        }
        self.commands.send(Command::Send(to, frames)).map_err(|_| SendError::Gone)?;
        self.stats.sent(size);
        Ok(())
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.cut = true;
            // An error means that the thread has ended, and every connection with it.
            let _ = self.commands.send(Command::Disconnect(connection));
        }
    }

    fn stats(&self) -> PortStats {
        self.stats.read()
    }

    async fn close(&mut self) {
        self.events.close();
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            let _ = closed.await;
        }
        self.connections.clear();
        while self.events.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{WorkerEvent, WorkerPort as _};
    use crate::wire::{FromWorker, Goodbye};
    use crate::zmq::{ConnectOptions, connect};

    #[tokio::test]
    async fn what_was_already_queued_of_a_connection_is_not_reported_once_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/o.sock");
        let (incarnation, message_bytes_max) = (String::new(), 1_000);
        let options = BindOptions { path: path.clone(), incarnation: incarnation.clone(), message_bytes_max };
        let mut orchestrator = bind(options).await.unwrap();
        let mut worker =
            connect(ConnectOptions { routes: vec![path].into(), incarnation, message_bytes_max }).unwrap();
        assert_eq!(worker.recv().await, Some(WorkerEvent::Connected));
        for reason in ["heard", "queued"] {
            worker.send(FromWorker::Goodbye(Goodbye { reason: reason.to_owned() })).unwrap();
        }
        let Some(OrchestratorEvent::Message(connection, _)) = orchestrator.recv().await else {
            panic!("no message")
        };
        while orchestrator.events.is_empty() {
            tokio::task::yield_now().await;
        }
        orchestrator.disconnect(connection);
        assert_eq!(orchestrator.recv().await, Some(OrchestratorEvent::Disconnected(connection)));
    }
}
