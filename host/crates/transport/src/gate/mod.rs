//! TCP enters through here: a listener that asks for a token first, and then relays bytes to the orchestrator's ipc socket,
//! checking every frame's size on the way. On the worker's side the tunnel is the mirror of it.
//!
//! ```text
//!   DEALER ─ipc─▶ tunnel ─tcp─ TLS ─ "STEPWRIGHT/1 <token>\n" ─▶ gate ─ipc─▶ ROUTER
//! ```
//!
//! A process with several pumps has one gate for all of them: ` <number>` after the token asks for another one than the first.
//!
//! A TCP peer of a bare ROUTER could abort the process or hold its memory with a few bytes; here nothing of ZeroMQ is reached
//! before the token, and nothing larger than the limits after it. What a connection costs is bounded before and after the
//! token, in time and in number, and who has shown none can take a place only from others that have shown none.
//!
//! Which tokens are good is told from outside, as plain data that may change at any moment ([`AllowList`]); a connection ends
//! with the token that let it in. TLS is rustls; its files are read again when they change.

mod admission;
mod arrival;
mod frames;
mod relay;
mod server;
mod tls;
mod token;
mod tunnel;

use std::time::Duration;

pub use admission::{Admitted, AllowList, Entries};
pub use frames::{FrameGuard, Violation};
pub use server::{Gate, GateError, GateOptions, GateStats, Pump};
pub use tls::{GateFiles, GateTls, TlsError, TunnelTls};
pub use token::{Token, TokenError};
pub use tunnel::{Tunnel, TunnelError, TunnelOptions};

/// What the first line begins with.
const GREETING: &str = "STEPWRIGHT/1 ";

/// The longest first line either way, in bytes: a token has at most 128.
const LINE_BYTES_MAX: usize = 256;

/// Connections that have not shown a token yet. Beyond it, the network with most of them loses its oldest.
const GREETINGS_MAX: usize = 128;

/// How long to wait when the system has no handle for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a gate or a tunnel waits for its peer. The same values do for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For TLS and the first line together: a few round trips.
    pub greeting: Duration,
    /// For the next byte from the peer, and for it to take what it is sent: heartbeats pass every second.
    pub idle: Duration,
    /// For a whole message, once it has begun: the largest one takes this long at one megabit a second.
    pub message: Duration,
    /// For the second side of a connection to close after the first.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            message: Duration::from_secs(60),
            close: Duration::from_secs(2),
        }
    }
}
