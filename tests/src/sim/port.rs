//! A worker's port over a network that delays, doubles, loses and reorders messages, and sometimes carries nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stepwright_transport::local::LocalWorkerPort;
use stepwright_transport::port::{PortStats, SendError, WorkerEvent, WorkerPort};
use stepwright_transport::wire::{FromWorker, ToWorker};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::adversary::Adversary;

/// Messages on their way one way, by when they arrive and in which order they were sent.
struct Way<T> {
    messages: BTreeMap<(Instant, u64), T>,
    sent: u64,
    last: Instant,
}

impl<T: Clone> Way<T> {
    fn new() -> Self {
        Self { messages: BTreeMap::new(), sent: 0, last: Instant::now() }
    }

    fn post(&mut self, message: T, adversary: &Adversary) {
        if adversary.strikes("message lost", 40) {
            return;
        }
        let now = Instant::now();
        let soon = |ms: usize| now + Duration::from_millis(adversary.below(ms) as u64);
        if adversary.strikes("message doubled", 40) {
            self.put(soon(3_000), message.clone());
        }
        if adversary.strikes("message overtaken", 40) {
            return self.put(soon(500), message);
        }
        let delay = if adversary.strikes("message delayed", 40) { 4_000 } else { 3 };
        self.last = self.last.max(soon(delay));
        self.put(self.last, message);
    }

    fn put(&mut self, at: Instant, message: T) {
        self.sent += 1;
        self.messages.insert((at, self.sent), message);
    }

    fn next(&self) -> Option<Instant> {
        self.messages.first_key_value().map(|((at, _), _)| *at)
    }

    fn take(&mut self) -> Option<T> {
        self.messages.pop_first().map(|(_, message)| message)
    }

    fn clear(&mut self) {
        self.messages.clear();
    }
}

/// See the module.
pub(super) struct SimPort {
    inner: LocalWorkerPort,
    adversary: Arc<Adversary>,
    /// True while nothing passes.
    partition: watch::Receiver<bool>,
    out: Way<FromWorker>,
    back: Way<ToWorker>,
    reconnect: bool,
}

impl SimPort {
    pub(super) fn new(
        inner: LocalWorkerPort,
        adversary: Arc<Adversary>,
        partition: watch::Receiver<bool>,
    ) -> Self {
        Self { inner, adversary, partition, out: Way::new(), back: Way::new(), reconnect: false }
    }
}

async fn due(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl WorkerPort for SimPort {
    async fn recv(&mut self) -> Option<WorkerEvent> {
        loop {
            self.partition.wait_for(|apart| !apart).await.ok()?;
            if std::mem::take(&mut self.reconnect) {
                self.inner.reconnect();
            }
            let (out, back) = (self.out.next(), self.back.next());
            tokio::select! {
                biased;
                _ = self.partition.changed() => {}
                () = due(out) => {
                    // A connection that is gone says so itself.
                    if let Some(message) = self.out.take() {
                        let _ = self.inner.send(message);
                    }
                }
                () = due(back) => {
                    if let Some(message) = self.back.take() {
                        return Some(WorkerEvent::Message(message));
                    }
                }
                event = self.inner.recv() => match event? {
                    WorkerEvent::Message(message) => self.back.post(message, &self.adversary),
                    other => {
                        self.out.clear();
                        self.back.clear();
                        return Some(other);
                    }
                }
            }
        }
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        self.out.post(message, &self.adversary);
        Ok(())
    }

    fn reconnect(&mut self) {
        self.reconnect = true;
    }

    fn stats(&self) -> PortStats {
        self.inner.stats()
    }

    async fn close(&mut self) {
        // What is on its way arrives.
        while let Some(message) = self.out.take() {
            let _ = self.inner.send(message);
        }
        self.inner.close().await;
    }
}
