//! The ports over ZeroMQ: a ROUTER for the orchestrator, a DEALER for each worker, on ipc.
//!
//! ```text
//!   port ──commands──▶ thread with the socket ──▶ peers
//!   port ◀──events──── thread with the socket ◀── peers
//! ```
//!
//! Each socket lives on a thread of its own with a single-threaded runtime: on a shared one it can freeze. A `recv` that is
//! dropped loses nothing. A `send` is tried once and never waited for: it would hold up everybody else, so a peer whose queue
//! is full is cut off instead. A socket has no identity: names travel in `hello`. A worker makes a fresh socket for every
//! connection, since a DEALER never reconnects by itself.

mod dealer;
mod orchestrator;
mod outbox;
mod path;
mod router;
mod routes;
mod worker;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::port::PortStats;

pub use orchestrator::{BindError, BindOptions, ZmqOrchestratorPort, bind};
pub(crate) use path::free_socket;
pub use path::{PathError, private_folder};
pub use routes::Routes;
pub use worker::{ConnectOptions, ZmqWorkerPort, connect};

/// Events that may wait for a port's owner. Beyond it, peers wait in their sockets.
const QUEUE_MAX: usize = 8_192;

/// Messages, or commands, that are dealt with before the others get their turn.
const BURST: usize = 256;

/// How long a closing socket waits for peers that do not read what was sent to them.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Totals that both sides of a port write.
#[derive(Debug, Default)]
struct SharedStats(Mutex<PortStats>);

impl SharedStats {
    fn change(&self, change: impl FnOnce(&mut PortStats)) {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn sent(&self, bytes: u64) {
        self.change(|stats| {
            stats.sent += 1;
            stats.bytes_sent += bytes;
        });
    }

    fn received(&self, bytes: u64) {
        self.change(|stats| {
            stats.received += 1;
            stats.bytes_received += bytes;
        });
    }

    fn malformed(&self) {
        self.change(|stats| stats.malformed += 1);
    }

    fn read(&self) -> PortStats {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn bytes(frames: &[bytes::Bytes]) -> u64 {
    frames.iter().map(|frame| frame.len() as u64).sum()
}

fn endpoint(path: &std::path::Path) -> String {
    format!("ipc://{}", path.display())
}

/// Waits until every message of a closed socket is with the system. The crate has no flush, but it has one task for each
/// connection, which ends when its queue is written; on a thread of their own they can be counted.
async fn written() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let began = Instant::now();
    while metrics.num_alive_tasks() > 0 && began.elapsed() < FLUSH_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
