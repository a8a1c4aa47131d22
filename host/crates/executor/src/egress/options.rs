//! The limits of what goes out, each with its unit and the reason for its number.

use std::time::Duration;

use crate::grants::PluginLimits;

/// What bounds the HTTP requests of steps. A plugin's grants may set other numbers for the attempt's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressOptions {
    /// The longest that looking up a name, connecting and the TLS handshake may take together, and again the longest that a
    /// request waits for its turn. A host that does not answer within five seconds is down.
    pub connect_max: Duration,
    /// The longest wait from sending a request to the response's headers. Slow interfaces answer within seconds; a guest that
    /// waits holds its slot.
    pub first_byte_max: Duration,
    /// The longest pause within a response's body.
    pub between_bytes_max: Duration,
    /// Bytes of all response bodies of one attempt. The output's limit is an eighth of it.
    pub bytes_in_max: u64,
    /// Bytes of all request bodies of one attempt.
    pub bytes_out_max: u64,
    /// Bytes of one request's or one response's headers. Common servers stop at 8 to 16 KiB.
    pub header_bytes_max: usize,
    /// Requests of one attempt, refused ones included. A step that needs more is a batch job.
    pub calls_max: u32,
    /// Requests of one attempt at the same time, until their responses are read. Browsers open six for each host.
    pub connections_max: u32,
    /// Requests of all attempts at the same time: each holds a socket, of which a process usually has 1,024.
    pub connections_process_max: u32,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(5),
            first_byte_max: Duration::from_secs(15),
            between_bytes_max: Duration::from_secs(15),
            bytes_in_max: 8 << 20,
            bytes_out_max: 8 << 20,
            header_bytes_max: 64 << 10,
            calls_max: 100,
            connections_max: 8,
            connections_process_max: 256,
        }
    }
}

impl EgressOptions {
    /// The same with a plugin's own limits in place.
    pub(crate) fn with(self, plugin: &PluginLimits) -> Self {
        Self {
            bytes_in_max: plugin.http_bytes_in_max.unwrap_or(self.bytes_in_max),
            bytes_out_max: plugin.http_bytes_out_max.unwrap_or(self.bytes_out_max),
            calls_max: plugin.http_calls_max.unwrap_or(self.calls_max),
            connections_max: plugin.http_connections_max.unwrap_or(self.connections_max),
            ..self
        }
    }
}
