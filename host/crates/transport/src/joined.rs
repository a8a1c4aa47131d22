//! Two ports as one: the workers of this process beside those that come to its socket.
//!
//! The way of a message is that of the port it came through. Nothing is queued, copied or boxed on top of it: a connection's
//! number says which of the two it belongs to.

use async_trait::async_trait;

use crate::local::LocalOrchestratorPort;
use crate::port::{ConnectionId, OrchestratorEvent, OrchestratorPort, PortStats, SendError};
use crate::wire::ToWorker;
use crate::zmq::ZmqOrchestratorPort;

/// Set in the number of every connection from outside. Both ports count from one, and neither gets that far.
const OUTSIDE: u64 = 1 << 63;

/// See [`join`].
pub struct JoinedOrchestratorPort {
    inside: LocalOrchestratorPort,
    outside: ZmqOrchestratorPort,
}

/// One port out of two. It ends as soon as one of them does, since half a port would be missed by nobody.
pub fn join(inside: LocalOrchestratorPort, outside: ZmqOrchestratorPort) -> JoinedOrchestratorPort {
    JoinedOrchestratorPort { inside, outside }
}

/// What a connection is called in the port from outside, if it belongs there.
fn outside(connection: ConnectionId) -> Option<ConnectionId> {
    (connection.0 & OUTSIDE != 0).then_some(ConnectionId(connection.0 & !OUTSIDE))
}

#[async_trait]
impl OrchestratorPort for JoinedOrchestratorPort {
    async fn recv(&mut self) -> Option<OrchestratorEvent> {
        // Whoever is looked at first is drawn anew each time, so that neither side starves the other.
        tokio::select! {
            event = self.inside.next() => event,
            event = self.outside.next() => event.map(from_outside),
        }
    }

    fn send(&mut self, to: ConnectionId, message: ToWorker) -> Result<(), SendError> {
        match outside(to) {
            None => self.inside.send(to, message),
            Some(to) => self.outside.send(to, message),
        }
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        match outside(connection) {
            None => self.inside.disconnect(connection),
            Some(connection) => self.outside.disconnect(connection),
        }
    }

    fn stats(&self) -> PortStats {
        let (inside, outside) = (self.inside.stats(), self.outside.stats());
        PortStats {
            sent: inside.sent + outside.sent,
            received: inside.received + outside.received,
            bytes_sent: inside.bytes_sent + outside.bytes_sent,
            bytes_received: inside.bytes_received + outside.bytes_received,
            malformed: inside.malformed + outside.malformed,
        }
    }

    async fn close(&mut self) {
        self.inside.close().await;
        self.outside.close().await;
    }
}

fn from_outside(event: OrchestratorEvent) -> OrchestratorEvent {
    match event {
        OrchestratorEvent::Message(from, message) => {
            OrchestratorEvent::Message(ConnectionId(from.0 | OUTSIDE), message)
        }
        OrchestratorEvent::Disconnected(from) => {
            OrchestratorEvent::Disconnected(ConnectionId(from.0 | OUTSIDE))
        }
    }
}
