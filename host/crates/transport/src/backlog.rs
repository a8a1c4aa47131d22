//! How much a port queues for a peer that says nothing back.
//!
//! Every peer sends at least a heartbeat now and then, so what was sent since it was last heard bounds what it can have left
//! unread. Credit keeps healthy peers far below; only one that has stalled comes near.

/// Messages to a silent peer: hundreds of times the usual credit in steps, and a sixth of what ZeroMQ's own queue takes.
pub(crate) const MESSAGES_MAX: usize = 16_384;

/// Bytes to a silent peer: four times the usual credit in bytes.
pub(crate) const BYTES_MAX: u64 = 256 << 20;

/// What was sent on one connection since its peer was last heard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backlog {
    messages: usize,
    bytes: u64,
}

impl Backlog {
    /// Counts a message of `bytes` bytes, or says that it would be one too many. A single message always fits.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let fits = self.messages < MESSAGES_MAX && self.bytes < BYTES_MAX;
        if fits {
            self.messages += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        fits
    }

    /// The peer is alive and reads.
    pub(crate) fn heard(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_gets_so_many_messages_and_bytes_and_no_more() {
        let mut backlog = Backlog::default();
        let taken = (0..MESSAGES_MAX + 5).filter(|_| backlog.take(1)).count();
        assert_eq!(taken, MESSAGES_MAX);
        backlog.heard();
        assert!(backlog.take(BYTES_MAX) && !backlog.take(1));
        backlog.heard();
        assert!(backlog.take(1));
    }
}
