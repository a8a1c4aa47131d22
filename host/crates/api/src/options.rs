//! What the API can be told, with the reason for each default.

use std::time::Duration;

/// See the module. Every limit is on by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOptions {
    /// The version that is reported.
    pub version: String,
    /// The environment that templates are resolved for.
    pub environment: String,
    /// Whether whoever reaches the listener may do everything for as long as no token was ever made. Only for the loopback.
    pub open: bool,
    /// The largest context, configuration or output, in bytes.
    pub payload_bytes_max: u64,
    /// The largest component, in bytes.
    pub component_bytes_max: usize,
    /// The largest body of a request, in bytes: a context of the largest size escaped as JSON, and room.
    pub body_bytes_max: usize,
    /// The largest body of a bulk start, in bytes: ten thousand tasks of a kilobyte and a half.
    pub bulk_bytes_max: usize,
    /// Requests a second of one token; as many more may come at once. Far above what a person or a page does, far below what
    /// would hold up the pump.
    pub requests_per_second: u32,
    /// Waits and streams at once, of everybody: each holds a connection and a few kilobytes.
    pub waits_max: usize,
    /// The same of one token, so that one client does not take all of them.
    pub waits_per_token_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a connection may take to send the head of its next request, and TLS to be set up.
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long requests under way may go on after a stop.
    pub drain: Duration,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: "development".to_owned(),
            open: false,
            payload_bytes_max: 1 << 20,
            component_bytes_max: 32 << 20,
            body_bytes_max: 4 << 20,
            bulk_bytes_max: 16 << 20,
            requests_per_second: 1_000,
            waits_max: 1_024,
            waits_per_token_max: 64,
            connections_max: 1_024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}
