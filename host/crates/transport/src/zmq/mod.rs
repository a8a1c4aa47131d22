//! The ports over ZeroMQ: a ROUTER for the orchestrator, a DEALER for each worker, on ipc.
//!
//! ```text
//!   port ──commands──▶ thread with the socket ──▶ peers
//!   port ◀──events──── thread with the socket ◀── peers
//! ```
//!
//! Each socket lives on a thread of its own with a single-threaded runtime: on a shared one it can freeze. A `recv` that is
//! dropped loses nothing, a `send` that is dropped would, so sends are always awaited; credit keeps them short. A socket has
//! no identity: names travel in `hello`. A worker makes a fresh socket for every connection, since a DEALER never
//! reconnects by itself.

mod orchestrator;
mod path;
mod worker;

use std::sync::Mutex;
use std::time::Duration;

use crate::port::PortStats;

pub use orchestrator::{BindError, BindOptions, ZmqOrchestratorPort, bind};
pub(crate) use path::free_socket;
pub use path::{PathError, private_folder};
pub use worker::{ConnectOptions, ZmqWorkerPort, connect};

/// Events and commands that may wait between a port and its thread. Beyond it, peers wait in their sockets.
const QUEUE_MAX: usize = 8_192;

/// How long a closing socket's writers are given to hand what is queued to the system.
const LINGER: Duration = Duration::from_millis(100);

/// Totals that both sides of a port write.
#[derive(Debug, Default)]
struct SharedStats(Mutex<PortStats>);

impl SharedStats {
    fn change(&self, change: impl FnOnce(&mut PortStats)) {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
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
