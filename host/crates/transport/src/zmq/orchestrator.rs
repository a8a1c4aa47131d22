//! The orchestrator's end: a ROUTER.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use zeromq::util::PeerIdentity;
use zeromq::{
    MultiPeerBackend, RouterSocket, Socket as _, SocketEvent, SocketRecv as _, SocketSend as _, ZmqMessage,
};

use super::path::{PathError, free_socket, private_folder};
use super::{LINGER, QUEUE_MAX, SharedStats, bytes, endpoint};
use crate::codec::{self, Envelope, Frames, Message as _};
use crate::port::{ConnectionId, OrchestratorEvent, OrchestratorPort, PortStats, SendError};
use crate::wire::{FromWorker, Refuse, ToWorker};

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

enum Command {
    Send(ConnectionId, Frames),
    Disconnect(ConnectionId),
    Close(oneshot::Sender<()>),
}

/// See [`bind`].
pub struct ZmqOrchestratorPort {
    events: mpsc::Receiver<OrchestratorEvent>,
    commands: mpsc::Sender<Command>,
    envelope: Envelope,
    message_bytes_max: usize,
    stats: Arc<SharedStats>,
    thread: Option<JoinHandle<()>>,
}

/// Listens. The port is ready when this returns.
pub async fn bind(options: BindOptions) -> Result<ZmqOrchestratorPort, BindError> {
    let folder = options.path.parent().unwrap_or(Path::new("."));
    private_folder(folder)?;
    free_socket(&options.path)?;
    let (event_sender, events) = mpsc::channel(QUEUE_MAX);
    let (commands, command_receiver) = mpsc::channel(QUEUE_MAX);
    let (ready, bound) = oneshot::channel();
    let stats = Arc::new(SharedStats::default());
    let (path, message_bytes_max) = (options.path.clone(), options.message_bytes_max);
    let failed = |reason: String| BindError::Socket { path: options.path.clone(), reason };
    let router = Router {
        events: event_sender,
        commands: command_receiver,
        stats: stats.clone(),
        message_bytes_max,
        envelope: Envelope::new(options.incarnation.clone()),
        by_peer: HashMap::new(),
        by_connection: HashMap::new(),
        connections: 0,
    };
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
    let envelope = Envelope::new(options.incarnation);
    Ok(ZmqOrchestratorPort { events, commands, envelope, message_bytes_max, stats, thread: Some(thread) })
}

#[async_trait]
impl OrchestratorPort for ZmqOrchestratorPort {
    async fn recv(&mut self) -> Option<OrchestratorEvent> {
        self.events.recv().await
    }

    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError> {
        let frames = message.encode(&mut self.envelope);
        let size = bytes(&frames);
        let total = usize::try_from(size).unwrap_or(usize::MAX);
        if total > self.message_bytes_max {
            return Err(SendError::TooLarge { bytes: total, bytes_max: self.message_bytes_max });
        }
        self.commands.try_send(Command::Send(to, frames)).map_err(|_| SendError::Gone)?;
        self.stats.change(|stats| {
            stats.sent += 1;
            stats.bytes_sent += size;
        });
        Ok(())
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        // A full queue means that the thread is stuck; heartbeats find that out.
        let _ = self.commands.try_send(Command::Disconnect(connection));
    }

    fn stats(&self) -> PortStats {
        self.stats.read()
    }

    async fn close(&mut self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
        self.events.close();
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Lives on the socket's thread.
struct Router {
    events: mpsc::Sender<OrchestratorEvent>,
    commands: mpsc::Receiver<Command>,
    stats: Arc<SharedStats>,
    message_bytes_max: usize,
    envelope: Envelope,
    by_peer: HashMap<Bytes, ConnectionId>,
    by_connection: HashMap<ConnectionId, Bytes>,
    connections: u64,
}

impl Router {
    async fn run(mut self, path: PathBuf, ready: oneshot::Sender<Result<(), String>>) {
        let mut socket = RouterSocket::new();
        let mut monitor = socket.monitor();
        if let Err(error) = socket.bind(&endpoint(&path)).await {
            return drop(ready.send(Err(error.to_string())));
        }
        let _ = ready.send(Ok(()));
        let backend = socket.backend();
        loop {
            // Reading stops while the port's owner is behind; then peers wait in their sockets.
            let room = self.events.capacity() > 1;
            tokio::select! {
                biased;
                message = socket.recv(), if room => match message {
                    Ok(message) => self.received(message, &*backend, &mut socket).await,
                    Err(error) => tracing::warn!(%error, "a ZeroMQ socket failed to receive"),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Send(to, frames)) => self.send(&mut socket, &*backend, to, frames).await,
                    Some(Command::Disconnect(connection)) => self.kick(connection, &*backend),
                    Some(Command::Close(done)) => {
                        self.drain(&mut socket, &*backend).await;
                        drop(socket.close().await);
                        let _ = std::fs::remove_file(&path);
                        let _ = done.send(());
                        return;
                    }
                    None => {
                        drop(socket.close().await);
                        let _ = std::fs::remove_file(&path);
                        return;
                    }
                },
                Some(event) = monitor.next(), if room => if let SocketEvent::Disconnected(peer) = event {
                    self.gone(&Bytes::copy_from_slice(&peer));
                },
                // Its owner is behind; look again once it has caught up.
                () = wait_for_room(&self.events), if !room => {}
            }
        }
    }

    async fn received(
        &mut self,
        message: ZmqMessage,
        backend: &dyn MultiPeerBackend,
        socket: &mut RouterSocket,
    ) {
        let mut frames = message.into_vec();
        if frames.is_empty() {
            return;
        }
        let peer = frames.remove(0);
        match codec::decode::<FromWorker>(&frames, self.message_bytes_max) {
            Ok(message) => {
                let size = bytes(&frames);
                self.stats.change(|stats| {
                    stats.received += 1;
                    stats.bytes_received += size;
                });
                let connection = self.connection(peer);
                // There was room for two.
                let _ = self.events.try_send(OrchestratorEvent::Message(connection, message));
            }
            Err(error) => {
                self.stats.change(|stats| stats.malformed += 1);
                tracing::warn!(%error, "dropped what is no message, and its connection");
                let refuse = ToWorker::Refuse(Refuse { reason: error.to_string() });
                let frames = refuse.encode(&mut self.envelope);
                let _ = socket.send(addressed(peer.clone(), frames)).await;
                self.disconnect(&peer, backend);
            }
        }
    }

    fn connection(&mut self, peer: Bytes) -> ConnectionId {
        if let Some(connection) = self.by_peer.get(&peer) {
            return *connection;
        }
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.by_connection.insert(connection, peer.clone());
        self.by_peer.insert(peer, connection);
        connection
    }

    async fn send(
        &mut self,
        socket: &mut RouterSocket,
        backend: &dyn MultiPeerBackend,
        to: ConnectionId,
        frames: Frames,
    ) {
        let Some(peer) = self.by_connection.get(&to).cloned() else { return };
        if let Err(error) = socket.send(addressed(peer.clone(), frames)).await {
            tracing::debug!(connection = to.0, %error, "a message could not be sent; the connection is closed");
            self.disconnect(&peer, backend);
        }
    }

    fn kick(&mut self, connection: ConnectionId, backend: &dyn MultiPeerBackend) {
        if let Some(peer) = self.by_connection.get(&connection).cloned() {
            self.disconnect(&peer, backend);
        }
    }

    fn disconnect(&mut self, peer: &Bytes, backend: &dyn MultiPeerBackend) {
        if let Ok(identity) = PeerIdentity::try_from(peer.clone()) {
            backend.peer_disconnected(&identity);
        }
        self.gone(peer);
    }

    /// Reports a connection as gone, once.
    fn gone(&mut self, peer: &Bytes) {
        if let Some(connection) = self.by_peer.remove(peer) {
            self.by_connection.remove(&connection);
            let _ = self.events.try_send(OrchestratorEvent::Disconnected(connection));
        }
    }

    /// Sends what was queued before the close, and lets the writers hand it to the system.
    async fn drain(&mut self, socket: &mut RouterSocket, backend: &dyn MultiPeerBackend) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Send(to, frames) = command {
                self.send(socket, backend, to, frames).await;
            }
        }
        if !self.by_peer.is_empty() {
            tokio::time::sleep(LINGER).await;
        }
    }
}

fn addressed(peer: Bytes, frames: Frames) -> ZmqMessage {
    let [header, body] = frames;
    let mut message = ZmqMessage::from(peer);
    message.push_back(header);
    message.push_back(body);
    message
}

async fn wait_for_room(events: &mpsc::Sender<OrchestratorEvent>) {
    drop(events.reserve_many(2).await);
}
