//! The thread behind the orchestrator's port: owns the ROUTER, and knows peers by the ids that it gave them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use zeromq::util::PeerIdentity;
use zeromq::{
    MultiPeerBackend, RouterSocket, Socket as _, SocketEvent, SocketRecv as _, SocketSend as _, ZmqError,
    ZmqMessage,
};

use super::outbox::Outbox;
use super::{BURST, BindOptions, SharedStats, bytes, endpoint, written};
use crate::codec::{self, Envelope, Frames, Message as _};
use crate::port::{ConnectionId, OrchestratorEvent};
use crate::wire::{FromWorker, Refuse, ToWorker};

pub(super) enum Command {
    Send(ConnectionId, Frames),
    Disconnect(ConnectionId),
    Close(oneshot::Sender<()>),
}

pub(super) struct Router {
    outbox: Outbox<OrchestratorEvent>,
    commands: mpsc::UnboundedReceiver<Command>,
    stats: Arc<SharedStats>,
    message_bytes_max: usize,
    envelope: Envelope,
    by_peer: HashMap<Bytes, ConnectionId>,
    by_connection: HashMap<ConnectionId, Bytes>,
    connections: u64,
}

/// The socket, and the handle that can close one of its connections.
struct Peers {
    socket: RouterSocket,
    backend: Arc<dyn MultiPeerBackend>,
}

impl Peers {
    /// Queues frames for a peer. A queue that is full counts as a failure: waiting would hold up every other peer.
    fn send(&mut self, peer: &Bytes, frames: Frames) -> bool {
        let [header, body] = frames;
        let Ok(message) = ZmqMessage::try_from(vec![peer.clone(), header, body]) else { return false };
        matches!(self.socket.send(message).now_or_never(), Some(Ok(())))
    }

    fn disconnect(&self, peer: &Bytes) {
        if let Ok(identity) = PeerIdentity::try_from(peer.clone()) {
            self.backend.peer_disconnected(&identity);
        }
    }
}

impl Router {
    pub(super) fn new(
        options: &BindOptions,
        events: mpsc::Sender<OrchestratorEvent>,
        commands: mpsc::UnboundedReceiver<Command>,
        stats: Arc<SharedStats>,
    ) -> Self {
        Self {
            outbox: Outbox::new(events),
            commands,
            stats,
            message_bytes_max: options.message_bytes_max,
            envelope: Envelope::new(options.incarnation.clone()),
            by_peer: HashMap::new(),
            by_connection: HashMap::new(),
            connections: 0,
        }
    }

    pub(super) async fn run(mut self, path: PathBuf, ready: oneshot::Sender<Result<(), String>>) {
        let mut socket = RouterSocket::new();
        let mut monitor = socket.monitor();
        if let Err(error) = socket.bind(&endpoint(&path)).await {
            return drop(ready.send(Err(error.to_string())));
        }
        let _ = ready.send(Ok(()));
        let mut peers = Peers { backend: socket.backend(), socket };
        let mut commands = Vec::with_capacity(BURST);
        loop {
            // Reading stops while the port's owner is behind; then peers wait in their sockets.
            let room = self.outbox.has_room();
            tokio::select! {
                message = peers.socket.recv(), if room => self.receive(message, &mut peers),
                count = self.commands.recv_many(&mut commands, BURST) => {
                    for command in commands.drain(..) {
                        match command {
                            Command::Send(to, frames) => self.send(&mut peers, to, frames),
                            Command::Disconnect(connection) => self.kick(connection, &peers),
                            Command::Close(done) => {
                                close(peers.socket, &path).await;
                                written().await;
                                let _ = done.send(());
                                return;
                            }
                        }
                    }
                    if count == 0 {
                        return close(peers.socket, &path).await;
                    }
                }
                Some(event) = monitor.next() => self.observe(event),
                () = self.outbox.flush(), if !room => {}
            }
        }
    }

    /// Takes a message, and those that are there already.
    fn receive(&mut self, first: Result<ZmqMessage, ZmqError>, peers: &mut Peers) {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                Some(Ok(message)) => self.received(message, peers),
                Some(Err(error)) => tracing::warn!(%error, "a ZeroMQ socket failed to receive"),
                None => return,
            }
            if !self.outbox.has_room() {
                return;
            }
            next = peers.socket.recv().now_or_never();
        }
        if let Some(Ok(message)) = next {
            self.received(message, peers);
        }
    }

    fn received(&mut self, message: ZmqMessage, peers: &mut Peers) {
        let frames = message.into_vec();
        let Some((peer, frames)) = frames.split_first() else { return };
        match codec::decode::<FromWorker>(frames, self.message_bytes_max) {
            Ok(message) => {
                self.stats.received(bytes(frames));
                let connection = self.connection(peer);
                self.outbox.push(OrchestratorEvent::Message(connection, message));
            }
            Err(error) => {
                self.stats.malformed();
                tracing::warn!(%error, "dropped what is no message, and its connection");
                let refuse = ToWorker::Refuse(Refuse { reason: error.to_string() });
                let _ = peers.send(peer, refuse.encode(&mut self.envelope));
                self.disconnect(peer, peers);
            }
        }
    }

    fn connection(&mut self, peer: &Bytes) -> ConnectionId {
        if let Some(connection) = self.by_peer.get(peer) {
            return *connection;
        }
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.by_connection.insert(connection, peer.clone());
        self.by_peer.insert(peer.clone(), connection);
        connection
    }

    fn send(&mut self, peers: &mut Peers, to: ConnectionId, frames: Frames) {
        let Some(peer) = self.by_connection.get(&to) else { return };
        if !peers.send(peer, frames) {
            tracing::debug!(connection = to.0, "a message could not be sent; the connection is closed");
            self.kick(to, peers);
        }
    }

    fn kick(&mut self, connection: ConnectionId, peers: &Peers) {
        if let Some(peer) = self.by_connection.get(&connection).cloned() {
            self.disconnect(&peer, peers);
        }
    }

    fn disconnect(&mut self, peer: &Bytes, peers: &Peers) {
        peers.disconnect(peer);
        self.gone(peer);
    }

    fn observe(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Disconnected(peer) => self.gone(&Bytes::copy_from_slice(&peer)),
            SocketEvent::AcceptFailed(
                error @ (ZmqError::Codec(_) | ZmqError::UnsupportedVersion(_) | ZmqError::PeerIdentity),
            ) => {
                self.stats.malformed();
                tracing::warn!(%error, "dropped a connection that does not speak ZeroMQ");
            }
            _ => {}
        }
    }

    /// Reports a connection as gone, once.
    fn gone(&mut self, peer: &Bytes) {
        if let Some(connection) = self.by_peer.remove(peer) {
            self.by_connection.remove(&connection);
            self.outbox.push(OrchestratorEvent::Disconnected(connection));
        }
    }
}

async fn close(socket: RouterSocket, path: &Path) {
    drop(socket.close().await);
    let _ = std::fs::remove_file(path);
}
