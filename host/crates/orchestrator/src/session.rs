//! The workers as the pump sees them: who is connected, what each holds, and what it has room for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stepwright_transport::port::ConnectionId;
use stepwright_transport::wire::{Hello, Offer};
use stepwright_workflow::batch::Room;
use stepwright_workflow::{AttemptKey, BatchId, StepId, Timestamp, WorkerId};

/// A batch that a worker was sent.
#[derive(Debug)]
pub(crate) struct HeldBatch {
    pub(crate) sent_at: Timestamp,
    /// When it must have ended, whatever the worker says.
    pub(crate) deadline: Timestamp,
    /// Attempts without an outcome, with their weight in bytes.
    pub(crate) outstanding: BTreeMap<(StepId, u32), usize>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) name: String,
    pub(crate) slots: u32,
    /// Whether it runs components at all.
    wasm: bool,
    /// The external handlers that it runs.
    external: Arc<BTreeSet<String>>,
    credit: usize,
    credit_bytes: usize,
    pub(crate) draining: bool,
    pub(crate) heard_at: Timestamp,
    pub(crate) lease_until: Timestamp,
    /// Which list of the orchestrators it was told.
    pub(crate) peers_told: u64,
    pub(crate) batches: BTreeMap<BatchId, HeldBatch>,
    steps: usize,
    bytes: usize,
}

impl Session {
    pub(crate) fn new(
        connection: ConnectionId,
        hello: &Hello,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Self {
        Self {
            connection: Some(connection),
            name: hello.name.clone(),
            slots: hello.slots.max(1),
            wasm: hello.serves.wasm,
            external: Arc::new(hello.serves.external.iter().cloned().collect()),
            credit: hello.credit as usize,
            credit_bytes: usize::try_from(hello.credit_bytes).unwrap_or(usize::MAX),
            draining: false,
            heard_at: now,
            lease_until,
            peers_told: 0,
            batches: BTreeMap::new(),
            steps: 0,
            bytes: 0,
        }
    }

    /// What it takes from now on. Returns whether that is more than before.
    pub(crate) fn offered(&mut self, offer: &Offer) -> bool {
        let credit = offer.credit as usize;
        let grown = credit > self.credit;
        self.slots = offer.slots.max(1);
        self.credit = credit;
        self.credit_bytes = usize::try_from(offer.credit_bytes).unwrap_or(usize::MAX);
        grown
    }

    pub(crate) fn serves_external(&self) -> bool {
        !self.external.is_empty()
    }

    pub(crate) fn load(&self) -> usize {
        self.steps
    }

    pub(crate) fn hold(&mut self, batch: BatchId, held: HeldBatch) {
        self.steps += held.outstanding.len();
        self.bytes += held.outstanding.values().sum::<usize>();
        self.batches.insert(batch, held);
    }

    pub(crate) fn forget(&mut self, batch: BatchId) {
        if let Some(held) = self.batches.remove(&batch) {
            self.steps -= held.outstanding.len();
            self.bytes -= held.outstanding.values().sum::<usize>();
        }
    }

    /// Frees the place of an attempt whose outcome came; a second outcome frees nothing.
    pub(crate) fn ended(&mut self, key: AttemptKey) {
        let batch = self.batches.get_mut(&key.batch);
        if let Some(bytes) = batch.and_then(|held| held.outstanding.remove(&(key.step, key.attempt))) {
            self.steps -= 1;
            self.bytes -= bytes;
        }
    }

    /// Compares a heartbeat with what was sent, and returns the batches that are lost: those that came before the newest one
    /// that the worker has seen and that it does not hold. A newer one is on its way; unless that takes longer than a lease.
    pub(crate) fn compare(
        &self,
        listed: &[BatchId],
        latest: Option<BatchId>,
        now: Timestamp,
        lease: std::time::Duration,
    ) -> Vec<BatchId> {
        let listed: BTreeSet<BatchId> = listed.iter().copied().collect();
        let missing = self.batches.iter().filter(|(batch, _)| !listed.contains(batch));
        let lost = missing.filter(|(batch, held)| Some(**batch) <= latest || now.since(held.sent_at) > lease);
        lost.map(|(batch, _)| *batch).collect()
    }

    pub(crate) fn room(&self, worker: WorkerId) -> Option<Room> {
        let steps = self.credit.saturating_sub(self.steps);
        let serves = self.wasm || self.serves_external();
        (self.connection.is_some() && !self.draining && serves && steps > 0).then(|| Room {
            worker,
            wasm: self.wasm,
            external: Arc::clone(&self.external),
            steps,
            bytes: self.credit_bytes.saturating_sub(self.bytes),
            load: self.steps,
        })
    }
}

/// Every worker that joined and was not declared lost.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_worker: BTreeMap<WorkerId, Session>,
    by_connection: BTreeMap<ConnectionId, WorkerId>,
}

impl Sessions {
    pub(crate) fn join(&mut self, worker: WorkerId, session: Session) {
        let connection = session.connection;
        if let Some(Session { connection: Some(old), .. }) = self.by_worker.insert(worker, session) {
            self.by_connection.remove(&old);
        }
        if let Some(connection) = connection {
            self.by_connection.insert(connection, worker);
        }
    }

    pub(crate) fn worker(&self, connection: ConnectionId) -> Option<WorkerId> {
        self.by_connection.get(&connection).copied()
    }

    pub(crate) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Session> {
        self.by_worker.get_mut(&worker)
    }

    pub(crate) fn get(&self, worker: WorkerId) -> Option<&Session> {
        self.by_worker.get(&worker)
    }

    /// The connection broke; the session stays, since the worker may come back with its outcomes.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) -> Option<WorkerId> {
        let worker = self.by_connection.remove(&connection)?;
        if let Some(session) = self.by_worker.get_mut(&worker) {
            session.connection = None;
        }
        Some(worker)
    }

    pub(crate) fn remove(&mut self, worker: WorkerId) -> Option<Session> {
        let session = self.by_worker.remove(&worker)?;
        if let Some(connection) = session.connection {
            self.by_connection.remove(&connection);
        }
        Some(session)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Session)> {
        self.by_worker.iter().map(|(worker, session)| (*worker, session))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (WorkerId, &mut Session)> {
        self.by_worker.iter_mut().map(|(worker, session)| (*worker, session))
    }

    pub(crate) fn rooms(&self) -> Vec<Room> {
        self.iter().filter_map(|(worker, session)| session.room(worker)).collect()
    }

    pub(crate) fn holder(&self, batch: BatchId) -> Option<WorkerId> {
        self.iter().find(|(_, session)| session.batches.contains_key(&batch)).map(|(worker, _)| worker)
    }
}
