//! Events on their way from a socket's thread to the owner of the port.

use std::collections::VecDeque;

use tokio::sync::mpsc;

/// What does not fit into the channel waits here, so that no event is lost. Whoever reads from a socket asks
/// [`Outbox::has_room`] first; then only ends of connections can ever wait, at most one for each.
pub(super) struct Outbox<T> {
    events: mpsc::Sender<T>,
    waiting: VecDeque<T>,
}

impl<T> Outbox<T> {
    pub(super) fn new(events: mpsc::Sender<T>) -> Self {
        Self { events, waiting: VecDeque::new() }
    }

    /// Whether more may be read. A closed port takes everything and keeps nothing.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty() && (self.events.capacity() > 0 || self.events.is_closed())
    }

    pub(super) fn push(&mut self, event: T) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(event);
        } else if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.waiting.push_back(event);
        }
    }

    /// Waits for room and moves one event on. Cancel safe.
    pub(super) async fn flush(&mut self) {
        match self.events.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.waiting.pop_front() {
                    permit.send(event);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_beyond_the_channel_wait_in_order() {
        let (sender, mut events) = mpsc::channel(2);
        let mut outbox = Outbox::new(sender);
        (1..=4).for_each(|number| outbox.push(number));
        assert!(!outbox.has_room());
        for number in 1..=4 {
            assert_eq!(events.recv().await, Some(number));
            outbox.flush().await;
        }
        assert!(outbox.has_room());
        outbox.push(5);
        assert_eq!(events.try_recv(), Ok(5));
    }

    #[tokio::test]
    async fn a_closed_port_holds_nothing_up() {
        let (sender, mut events) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        (1..=3).for_each(|number| outbox.push(number));
        events.close();
        assert_eq!(events.recv().await, Some(1));
        outbox.flush().await;
        outbox.push(4);
        assert!(outbox.has_room());
        assert_eq!(events.recv().await, None);
    }
}
