//! TCP enters through here: a listener that asks for a token first, and then relays bytes to the orchestrator's ipc socket,
//! checking every frame's size on the way. On the worker's side the tunnel is the mirror of it.
//!
//! ```text
//!   DEALER ─ipc─▶ tunnel ─tcp─ "STEPWRIGHT/1 <token>\n" ─▶ gate ─ipc─▶ ROUTER
//! ```
//!
//! A TCP peer of a bare ROUTER could abort the process or hold its memory with a few bytes; here nothing of ZeroMQ is reached
//! before the token, and nothing larger than the limits after it. The gate encrypts nothing: it listens on the loopback
//! unless told otherwise, and a tunnel of the operator's choice crosses machines.

mod frames;
mod relay;
mod server;
mod token;
mod tunnel;

use std::time::Duration;

pub use frames::{FrameGuard, Violation};
pub use server::{Gate, GateError, GateOptions, GateStats};
pub use token::{Token, TokenError};
pub use tunnel::{Tunnel, TunnelError, TunnelOptions};

/// What the first line begins with.
const GREETING: &str = "STEPWRIGHT/1 ";

/// The longest first line either way, in bytes: a token has 64.
const LINE_BYTES_MAX: usize = 256;

/// How long the first line may take.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a relayed connection may be silent: heartbeats pass every second.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the second side of a relayed connection may take to close after the first.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections that have not shown a token yet. They hold a handle for at most [`LINE_TIMEOUT`]; whoever has a token tries
/// again.
const GREETINGS_MAX: usize = 128;

/// How long to wait when the system has no handle for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
