//! The thread behind a worker's port: one DEALER after another.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::Receiver as Monitor;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use zeromq::{
    DealerSocket, Socket as _, SocketEvent, SocketOptions, SocketRecv as _, SocketSend as _, ZmqError,
    ZmqMessage,
};

use super::outbox::Outbox;
use super::routes::Routes;
use super::{BURST, ConnectOptions, SharedStats, bytes, endpoint, written};
use crate::codec::{self, Frames};
use crate::port::WorkerEvent;
use crate::wire::ToWorker;

/// The first pause before another try; doubled up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(5);

/// How long a try may take at least: a busy orchestrator may be slow to answer. Later tries may take as long as the pause.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) enum Command {
    /// Only for the connection with this number; the next one begins with `hello`.
    Send {
        connection: u64,
        frames: Frames,
    },
    Reconnect {
        connection: u64,
    },
    Close(oneshot::Sender<()>),
}

pub(super) struct Dealer {
    routes: Routes,
    outbox: Outbox<WorkerEvent>,
    commands: mpsc::UnboundedReceiver<Command>,
    stats: Arc<SharedStats>,
    message_bytes_max: usize,
    connections: u64,
    /// Whether the orchestrator took to this connection, rather than refuse it.
    accepted: bool,
}

/// How long a connection elsewhere is kept before home is tried again.
const AWAY: Duration = Duration::from_secs(30);

/// Why one connection is over.
enum End {
    Broken,
    Closed,
    /// Home answers again, and this is the connection to it.
    Home(Connection),
}

/// The connection cannot be used any more.
struct Broken;

/// The port was closed.
struct Closed;

type Connection = (DealerSocket, Monitor<SocketEvent>);

impl Dealer {
    pub(super) fn new(
        options: &ConnectOptions,
        events: mpsc::Sender<WorkerEvent>,
        commands: mpsc::UnboundedReceiver<Command>,
        stats: Arc<SharedStats>,
    ) -> Self {
        Self {
            routes: options.routes.clone(),
            outbox: Outbox::new(events),
            commands,
            stats,
            message_bytes_max: options.message_bytes_max,
            connections: 0,
            accepted: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        let mut turn = 0;
        loop {
            let endpoints: Vec<String> = self.routes.list().iter().map(|path| endpoint(path)).collect();
            let at = turn % endpoints.len().max(1);
            let Some(goal) = endpoints.get(at) else { return };
            let connecting = attempt(goal.clone(), pause.max(TRY_TIMEOUT));
            let Some(connection) = self.meanwhile(connecting).await else { return };
            turn += 1;
            if let Some(connection) = connection {
                if self.serve_until_broken(connection, at != 0).await.is_err() {
                    return;
                }
                // Whoever is refused each time must not try without a pause, and not at home only.
                if self.accepted {
                    (pause, turn) = (PAUSE_FIRST, 0);
                }
            }
            let Some(()) = self.meanwhile(tokio::time::sleep(jittered(pause))).await else { return };
            // One round of all of them is one try.
            if turn % endpoints.len().max(1) == 0 {
                pause = (pause * 2).min(PAUSE_LAST);
            }
        }
    }

    /// Serves a connection, and the one at home after it if that answers meanwhile. An error means that the port was closed.
    async fn serve_until_broken(&mut self, mut connection: Connection, mut away: bool) -> Result<(), Closed> {
        loop {
            self.connections += 1;
            self.accepted = false;
            self.routes.arrived(!away);
            self.outbox.push(WorkerEvent::Connected);
            let end = self.serve(connection, away).await;
            match end {
                End::Closed => return Err(Closed),
                End::Broken => {
                    self.outbox.push(WorkerEvent::Disconnected);
                    return Ok(());
                }
                End::Home(home) => {
                    self.outbox.push(WorkerEvent::Disconnected);
                    (connection, away) = (home, false);
                }
            }
        }
    }

    /// Does something without a connection; nothing if the port is closed meanwhile. Messages for a connection that is gone
    /// are dropped: the worker sends them again.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let room = self.outbox.has_room();
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => match command {
                    Some(Command::Send { .. } | Command::Reconnect { .. }) => {}
                    Some(Command::Close(done)) => {
                        written().await;
                        let _ = done.send(());
                        return None;
                    }
                    None => return None,
                },
                () = self.outbox.flush(), if !room => {}
            }
        }
    }

    async fn serve(&mut self, (mut socket, mut monitor): Connection, away: bool) -> End {
        let mut commands = Vec::with_capacity(BURST);
        let home = self.routes.list().into_iter().next().filter(|_| away);
        let mut home = pin!(back_home(home.map(|path| endpoint(&path))));
        loop {
            let room = self.outbox.has_room();
            tokio::select! {
                message = socket.recv(), if room => if self.receive(message, &mut socket).is_err() {
                    return End::Broken;
                },
                count = self.commands.recv_many(&mut commands, BURST) => {
                    let mut commands = commands.drain(..);
                    while let Some(command) = commands.next() {
                        match command {
                            Command::Send { connection, frames } if connection == self.connections => {
                                if !send(&mut socket, frames) {
                                    return self.closing(commands).unwrap_or(End::Broken);
                                }
                            }
                            Command::Reconnect { connection } if connection == self.connections => {
                                return self.closing(commands).unwrap_or(End::Broken);
                            }
                            Command::Close(done) => {
                                drop(socket.close().await);
                                written().await;
                                let _ = done.send(());
                                return End::Closed;
                            }
                            Command::Send { .. } | Command::Reconnect { .. } => {}
                        }
                    }
                    if count == 0 {
                        return End::Closed;
                    }
                }
                connection = &mut home => return End::Home(connection),
                Some(event) = monitor.next() => if matches!(event, SocketEvent::Disconnected(_)) {
                    return End::Broken;
                },
                () = self.outbox.flush(), if !room => {}
            }
        }
    }

    /// What follows the end of a connection among the commands that were taken already.
    fn closing(&self, commands: impl Iterator<Item = Command>) -> Option<End> {
        commands.into_iter().find_map(|command| match command {
            Command::Close(done) => {
                let _ = done.send(());
                Some(End::Closed)
            }
            Command::Send { .. } | Command::Reconnect { .. } => None,
        })
    }

    /// Takes a message, and those that are there already.
    fn receive(
        &mut self,
        first: Result<ZmqMessage, ZmqError>,
        socket: &mut DealerSocket,
    ) -> Result<(), Broken> {
        self.received(first)?;
        for _ in 1..BURST {
            if !self.outbox.has_room() {
                break;
            }
            match socket.recv().now_or_never() {
                Some(message) => self.received(message)?,
                None => break,
            }
        }
        Ok(())
    }

    fn received(&mut self, message: Result<ZmqMessage, ZmqError>) -> Result<(), Broken> {
        let frames = message.map_err(|_| Broken)?.into_vec();
        match codec::decode::<ToWorker>(&frames, self.message_bytes_max) {
            Ok(message) => {
                self.stats.received(bytes(&frames));
                self.accepted |= !matches!(message, ToWorker::Refuse(_));
                self.outbox.push(WorkerEvent::Message(message));
                Ok(())
            }
            Err(error) => {
                self.stats.malformed();
                tracing::warn!(%error, "the orchestrator sent what is no message; connecting anew");
                Err(Broken)
            }
        }
    }
}

/// One try at a connection. A peer that accepts and then says nothing must not hold the worker for ever.
async fn attempt(endpoint: String, timeout: Duration) -> Option<Connection> {
    let mut options = SocketOptions::default();
    options.connect_timeout(timeout);
    let mut socket = DealerSocket::with_options(options);
    let monitor = socket.monitor();
    match socket.connect(&endpoint).await {
        Ok(()) => Some((socket, monitor)),
        Err(error) => {
            tracing::debug!(endpoint, %error, "no connection yet");
            None
        }
    }
}

/// The connection to home, once it answers again. Without a home to go to, never.
async fn back_home(home: Option<String>) -> Connection {
    let Some(home) = home else { return std::future::pending().await };
    loop {
        tokio::time::sleep(jittered(AWAY)).await;
        if let Some(connection) = attempt(home.clone(), TRY_TIMEOUT).await {
            return connection;
        }
    }
}

/// Queues frames. A queue that is full counts as a failure: waiting for a stalled peer would help nobody.
fn send(socket: &mut DealerSocket, frames: Frames) -> bool {
    let [header, body] = frames;
    let Ok(message) = ZmqMessage::try_from(vec![header, body]) else { return false };
    matches!(socket.send(message).now_or_never(), Some(Ok(())))
}

/// Between half and all of a pause, so that many workers do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8; 1];
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause / 2 * u32::from(random[0]) / 255
}
