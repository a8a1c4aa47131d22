//! A worker's end: the port before a DEALER.

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::dealer::{Command, Dealer};
use super::path::{PathError, short_enough};
use super::routes::Routes;
use super::{QUEUE_MAX, SharedStats, bytes};
use crate::backlog::Backlog;
use crate::codec::{Envelope, Message as _};
use crate::port::{PortStats, SendError, WorkerEvent, WorkerPort};
use crate::wire::FromWorker;

/// What a DEALER needs to know.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where to connect, and where to turn meanwhile.
    pub routes: Routes,
    /// This worker's incarnation, for the headers.
    pub incarnation: String,
    /// The largest message either way, in bytes.
    pub message_bytes_max: usize,
}

/// See [`connect`].
pub struct ZmqWorkerPort {
    events: mpsc::Receiver<WorkerEvent>,
    /// Without a bound of its own: the connection's backlog is the bound.
    commands: mpsc::UnboundedSender<Command>,
    envelope: Envelope,
    /// Connections so far. What is sent belongs to the one that the owner knows of, never to the next.
    connections: u64,
    /// Of the present connection, if there is one.
    backlog: Option<Backlog>,
    message_bytes_max: usize,
    stats: Arc<SharedStats>,
    routes: Routes,
    thread: Option<JoinHandle<()>>,
}

/// Begins to connect, and keeps at it: the orchestrator need not be there yet.
pub fn connect(options: ConnectOptions) -> Result<ZmqWorkerPort, PathError> {
    let paths = options.routes.list();
    for path in &paths {
        short_enough(path)?;
    }
    let (event_sender, events) = mpsc::channel(QUEUE_MAX);
    let (commands, command_receiver) = mpsc::unbounded_channel();
    let stats = Arc::new(SharedStats::default());
    let dealer = Dealer::new(&options, event_sender, command_receiver, stats.clone());
    let path = paths.into_iter().next().unwrap_or_default();
    let io = |source| PathError::Io { path, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io.clone())?;
    let spawned = std::thread::Builder::new()
        .name("zmq-dealer".to_owned())
        .spawn(move || runtime.block_on(dealer.run()));
    let thread = spawned.map_err(io)?;
    Ok(ZmqWorkerPort {
        events,
        commands,
        envelope: Envelope::new(options.incarnation),
        connections: 0,
        backlog: None,
        message_bytes_max: options.message_bytes_max,
        stats,
        routes: options.routes,
        thread: Some(thread),
    })
}

#[async_trait]
impl WorkerPort for ZmqWorkerPort {
    async fn recv(&mut self) -> Option<WorkerEvent> {
        let event = self.events.recv().await;
        match &event {
            Some(WorkerEvent::Connected) => {
                self.connections += 1;
                self.routes.heard(true);
                self.backlog = Some(Backlog::default());
            }
            Some(WorkerEvent::Message(_)) => {
                if let Some(backlog) = &mut self.backlog {
                    backlog.heard();
                }
            }
            Some(WorkerEvent::Disconnected) | None => {
                self.backlog = None;
                self.routes.heard(false);
            }
        }
        event
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        let backlog = self.backlog.as_mut().ok_or(SendError::Gone)?;
        let frames = message.encode(&mut self.envelope);
        let size = bytes(&frames);
        let total = usize::try_from(size).unwrap_or(usize::MAX);
        if total > self.message_bytes_max {
            return Err(SendError::TooLarge { bytes: total, bytes_max: self.message_bytes_max });
        }
        if !backlog.take(size) {
            tracing::warn!("the orchestrator does not read what it is sent; connecting anew");
            self.reconnect();
            return Err(SendError::Gone);
        }
        let command = Command::Send { connection: self.connections, frames };
        self.commands.send(command).map_err(|_| SendError::Gone)?;
        self.stats.sent(size);
        Ok(())
    }

    fn reconnect(&mut self) {
        if self.backlog.take().is_some() {
            // An error means that the thread has ended; `recv` says so.
            let _ = self.commands.send(Command::Reconnect { connection: self.connections });
        }
    }

    fn stats(&self) -> PortStats {
        self.stats.read()
    }

    async fn close(&mut self) {
        self.events.close();
        self.backlog = None;
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            let _ = closed.await;
        }
        while self.events.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{OrchestratorEvent, OrchestratorPort as _};
    use crate::wire::Goodbye;
    use crate::zmq::{BindOptions, bind};

    fn say(reason: &str) -> FromWorker {
        FromWorker::Goodbye(Goodbye { reason: reason.to_owned() })
    }

    #[tokio::test]
    async fn what_was_meant_for_a_lost_connection_never_reaches_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/o.sock");
        let incarnation = String::new;
        let options =
            BindOptions { path: path.clone(), incarnation: incarnation(), message_bytes_max: 1_000 };
        let mut orchestrator = bind(options).await.unwrap();
        let options = ConnectOptions {
            routes: vec![path].into(),
            incarnation: incarnation(),
            message_bytes_max: 1_000,
        };
        let mut worker = connect(options).unwrap();
        assert_eq!(worker.recv().await, Some(WorkerEvent::Connected));
        worker.send(say("first")).unwrap();
        let Some(OrchestratorEvent::Message(first, _)) = orchestrator.recv().await else {
            panic!("no message")
        };
        orchestrator.disconnect(first);
        assert_eq!(orchestrator.recv().await, Some(OrchestratorEvent::Disconnected(first)));
        // The end and the next connection are known to the thread, and not to the owner.
        while worker.events.len() < 2 {
            tokio::task::yield_now().await;
        }
        worker.send(say("stale")).unwrap();
        assert_eq!(worker.recv().await, Some(WorkerEvent::Disconnected));
        assert_eq!(worker.send(say("between")), Err(SendError::Gone));
        assert_eq!(worker.recv().await, Some(WorkerEvent::Connected));
        worker.send(say("fresh")).unwrap();
        match orchestrator.recv().await {
            Some(OrchestratorEvent::Message(second, message)) => {
                assert_eq!((message, second == first), (say("fresh"), false));
            }
            other => panic!("expected a message, got {other:?}"),
        }
    }
}
