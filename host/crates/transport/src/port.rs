//! The two ends of a connection as the orchestrator and the worker see them, whatever carries the bytes.
//!
//! A send that returns has queued the message and proves nothing; only an `ack` does. Messages of one connection arrive in
//! order or not at all. Ports never lose their place when a `recv` future is dropped.

use async_trait::async_trait;

use crate::wire::{FromWorker, ToWorker};

/// One connection of one worker. Never reused within the life of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What an orchestrator's port reports.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "most are messages; a box would be an allocation for each")]
pub enum OrchestratorEvent {
    /// A message came; the first one of a connection announces it.
    Message(ConnectionId, FromWorker),
    /// The connection is gone. No message of it follows.
    Disconnected(ConnectionId),
}

/// What a worker's port reports.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// A connection stands; the worker says hello on it.
    Connected,
    /// A message came.
    Message(ToWorker),
    /// The connection is gone; the port is making another.
    Disconnected,
}

/// A message could not even be queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer is gone.
    #[error("the connection is gone")]
    Gone,
    /// The encoded message is larger than the limit.
    #[error("a message of {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// What went through a port, as running totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortStats {
    /// Messages sent.
    pub sent: u64,
    /// Messages received and understood.
    pub received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Messages that were no message: dropped, and their connection closed.
    pub malformed: u64,
}

/// The orchestrator's end: many connections.
#[async_trait]
pub trait OrchestratorPort: Send + 'static {
    /// The next event; `None` once the port is closed. Cancel safe.
    async fn recv(&mut self) -> Option<OrchestratorEvent>;
    /// Queues a message. Never waits for a slow peer: who sends within the credit never fills a queue, and a peer whose
    /// queue is full is disconnected.
    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError>;
    /// Closes one connection; its `Disconnected` follows.
    fn disconnect(&mut self, connection: ConnectionId);
    /// Running totals.
    fn stats(&self) -> PortStats;
    /// Sends what is queued, closes every connection and frees the endpoint.
    async fn close(&mut self);
}

/// A worker's end: one connection at a time, made anew whenever it breaks.
#[async_trait]
pub trait WorkerPort: Send + 'static {
    /// The next event; `None` once the port is closed. Cancel safe.
    async fn recv(&mut self) -> Option<WorkerEvent>;
    /// Queues a message for the present connection.
    fn send(&mut self, message: FromWorker) -> Result<(), SendError>;
    /// Gives up the present connection, for instance after too long a silence, and makes another.
    fn reconnect(&mut self);
    /// Running totals.
    fn stats(&self) -> PortStats;
    /// Sends what is queued and closes.
    async fn close(&mut self);
}
