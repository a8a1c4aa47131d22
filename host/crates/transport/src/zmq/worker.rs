//! A worker's end: a DEALER, and another after every break.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use zeromq::{
    DealerSocket, Socket as _, SocketEvent, SocketOptions, SocketRecv as _, SocketSend as _, ZmqMessage,
};

use super::path::{PathError, short_enough};
use super::{LINGER, QUEUE_MAX, SharedStats, bytes, endpoint};
use crate::codec::{self, Envelope, Frames, Message as _};
use crate::port::{PortStats, SendError, WorkerEvent, WorkerPort};
use crate::wire::{FromWorker, ToWorker};

/// The first pause before another try; doubled up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(5);

/// What a DEALER needs to know.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The orchestrator's socket, or a tunnel's.
    pub path: PathBuf,
    /// This worker's incarnation, for the headers.
    pub incarnation: String,
    /// The largest message either way, in bytes.
    pub message_bytes_max: usize,
}

enum Command {
    Send(Frames),
    Reconnect,
    Close(oneshot::Sender<()>),
}

/// See [`connect`].
pub struct ZmqWorkerPort {
    events: mpsc::Receiver<WorkerEvent>,
    commands: mpsc::Sender<Command>,
    envelope: Envelope,
    connected: bool,
    message_bytes_max: usize,
    stats: Arc<SharedStats>,
    thread: Option<JoinHandle<()>>,
}

/// Begins to connect, and keeps at it: the orchestrator need not be there yet.
pub fn connect(options: ConnectOptions) -> Result<ZmqWorkerPort, PathError> {
    short_enough(&options.path)?;
    let (event_sender, events) = mpsc::channel(QUEUE_MAX);
    let (commands, command_receiver) = mpsc::channel(QUEUE_MAX);
    let stats = Arc::new(SharedStats::default());
    let (path, message_bytes_max) = (options.path.clone(), options.message_bytes_max);
    let dealer = Dealer {
        endpoint: endpoint(&options.path),
        events: event_sender,
        commands: command_receiver,
        stats: stats.clone(),
        message_bytes_max,
    };
    let io = |source| PathError::Io { path, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io.clone())?;
    let spawned = std::thread::Builder::new()
        .name("zmq-dealer".to_owned())
        .spawn(move || runtime.block_on(dealer.run()));
    let thread = Some(spawned.map_err(io)?);
    let envelope = Envelope::new(options.incarnation);
    Ok(ZmqWorkerPort { events, commands, envelope, connected: false, message_bytes_max, stats, thread })
}

#[async_trait]
impl WorkerPort for ZmqWorkerPort {
    async fn recv(&mut self) -> Option<WorkerEvent> {
        let event = self.events.recv().await;
        match event {
            Some(WorkerEvent::Connected) => self.connected = true,
            Some(WorkerEvent::Disconnected) | None => self.connected = false,
            Some(WorkerEvent::Message(_)) => {}
        }
        event
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        if !self.connected {
            return Err(SendError::Gone);
        }
        let frames = message.encode(&mut self.envelope);
        let size = bytes(&frames);
        let total = usize::try_from(size).unwrap_or(usize::MAX);
        if total > self.message_bytes_max {
            return Err(SendError::TooLarge { bytes: total, bytes_max: self.message_bytes_max });
        }
        self.commands.try_send(Command::Send(frames)).map_err(|_| SendError::Gone)?;
        self.stats.change(|stats| {
            stats.sent += 1;
            stats.bytes_sent += size;
        });
        Ok(())
    }

    fn reconnect(&mut self) {
        let _ = self.commands.try_send(Command::Reconnect);
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
struct Dealer {
    endpoint: String,
    events: mpsc::Sender<WorkerEvent>,
    commands: mpsc::Receiver<Command>,
    stats: Arc<SharedStats>,
    message_bytes_max: usize,
}

/// Why one connection is over.
enum End {
    Broken,
    Closed,
}

impl Dealer {
    async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.attempt().await {
                Some(socket) => {
                    pause = PAUSE_FIRST;
                    if self.events.send(WorkerEvent::Connected).await.is_err() {
                        return;
                    }
                    if matches!(self.serve(socket).await, End::Closed) {
                        return;
                    }
                    if self.events.send(WorkerEvent::Disconnected).await.is_err() {
                        return;
                    }
                }
                None if self.closed_within(jittered(pause)).await => return,
                None => pause = (pause * 2).min(PAUSE_LAST),
            }
        }
    }

    /// One try at a connection.
    async fn attempt(&self) -> Option<DealerSocket> {
        let mut options = SocketOptions::default();
        options.connect_timeout(Duration::from_millis(500));
        let mut socket = DealerSocket::with_options(options);
        // A peer that accepts and then says nothing must not hold the worker.
        match tokio::time::timeout(Duration::from_secs(5), socket.connect(&self.endpoint)).await {
            Ok(Ok(())) => Some(socket),
            Ok(Err(error)) => {
                tracing::debug!(endpoint = self.endpoint, %error, "no connection yet");
                None
            }
            Err(_) => None,
        }
    }

    /// Waits, and says whether the port was closed meanwhile. Messages for a connection that is gone are dropped: the
    /// worker sends them again.
    async fn closed_within(&mut self, pause: Duration) -> bool {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return false,
                command = self.commands.recv() => match command {
                    None => return true,
                    Some(Command::Close(done)) => {
                        let _ = done.send(());
                        return true;
                    }
                    Some(Command::Send(_) | Command::Reconnect) => {}
                }
            }
        }
    }

    async fn serve(&mut self, mut socket: DealerSocket) -> End {
        let mut monitor = socket.monitor();
        loop {
            let room = self.events.capacity() > 0;
            tokio::select! {
                biased;
                message = socket.recv(), if room => match message {
                    Ok(message) => if self.received(message).is_err() {
                        return End::Broken;
                    },
                    Err(_) => return End::Broken,
                },
                command = self.commands.recv() => match command {
                    Some(Command::Send([header, body])) => {
                        let mut message = ZmqMessage::from(header);
                        message.push_back(body);
                        if socket.send(message).await.is_err() {
                            return End::Broken;
                        }
                    }
                    Some(Command::Reconnect) => return End::Broken,
                    Some(Command::Close(done)) => {
                        // Let the writer hand what is queued to the system.
                        tokio::time::sleep(LINGER).await;
                        drop(socket.close().await);
                        let _ = done.send(());
                        return End::Closed;
                    }
                    None => return End::Closed,
                },
                Some(event) = monitor.next() => if matches!(event, SocketEvent::Disconnected(_)) {
                    return End::Broken;
                },
                () = wait_for_room(&self.events), if !room => {}
            }
        }
    }

    fn received(&mut self, message: ZmqMessage) -> Result<(), ()> {
        let frames = message.into_vec();
        match codec::decode::<ToWorker>(&frames, self.message_bytes_max) {
            Ok(message) => {
                let size = bytes(&frames);
                self.stats.change(|stats| {
                    stats.received += 1;
                    stats.bytes_received += size;
                });
                self.events.try_send(WorkerEvent::Message(message)).map_err(drop)
            }
            Err(error) => {
                self.stats.change(|stats| stats.malformed += 1);
                tracing::warn!(%error, "the orchestrator sent what is no message; connecting anew");
                Err(())
            }
        }
    }
}

/// Between half and all of a pause, so that many workers do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8; 1];
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause / 2 * u32::from(random[0]) / 255
}

async fn wait_for_room(events: &mpsc::Sender<WorkerEvent>) {
    drop(events.reserve().await);
}
