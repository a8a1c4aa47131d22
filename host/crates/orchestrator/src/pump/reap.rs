//! What nobody tells the pump: silent workers, batches that never end, leases and timers of an earlier orchestrator.

use std::collections::BTreeSet;

use stepwright_store::WorkerState;
use stepwright_transport::wire::{Cancel, OrchestratorHeartbeat, ToWorker};
use stepwright_workflow::{AttemptKey, BatchId, WorkerId};

use super::Orchestrator;

impl Orchestrator {
    /// Gives the workers of an earlier orchestrator one lease's time to come back with what they hold.
    pub(super) async fn adopt_leases(&mut self) {
        let adopt = async {
            let mut round = self.store.round().await?;
            let now = self.clock.now();
            let joined: Vec<WorkerId> = round.joined().await?.into_iter().map(|(worker, _)| worker).collect();
            round.renew(&joined, now.after(self.options.lease()), now).await?;
            round.commit().await
        };
        if let Err(error) = adopt.await {
            tracing::error!(%error, "failed to adopt the leases of an earlier orchestrator; they end by themselves");
        }
    }

    /// Workers that are connected and were heard lately.
    pub(super) fn alive(&self) -> BTreeSet<WorkerId> {
        let now = self.clock.now();
        let silence = self.options.silence();
        let alive = self
            .sessions
            .iter()
            .filter(|(_, session)| session.connection.is_some() && now.since(session.heard_at) < silence);
        alive.map(|(worker, _)| worker).collect()
    }

    pub(super) async fn reap(&mut self) {
        self.gathered.look.completions |= !self.gathered.completions.is_empty();
        self.disconnect_silent();
        self.end_overdue();
        self.forget_strangers();
        let connections: Vec<_> =
            self.sessions.iter().filter_map(|(_, session)| session.connection).collect();
        for connection in connections {
            self.send(connection, ToWorker::Heartbeat(OrchestratorHeartbeat {}));
        }
        // A round looks for itself; and it must be polled to let go of the only connection that some stores have.
        if self.runner.is_some() {
            self.glance().await;
        }
        let stats = self.port.stats();
        self.totals.messages_received.store(stats.received, std::sync::atomic::Ordering::Relaxed);
        self.totals.messages_sent.store(stats.sent, std::sync::atomic::Ordering::Relaxed);
        self.totals.messages_malformed.store(stats.malformed, std::sync::atomic::Ordering::Relaxed);
    }

    async fn glance(&mut self) {
        match self.store.glance(self.clock.now()).await {
            Ok(glance) => {
                self.gathered.look.claim |= glance.claimable;
                self.gathered.look.timers |= glance.claimable;
                self.gathered.look.cancelled |= glance.cancelled;
                self.gathered.look.expired |= glance.expired;
                self.next_ready_at = crate::round::earlier(self.next_ready_at, glance.next_ready_at);
            }
            Err(error) => tracing::error!(%error, "failed to look at the database"),
        }
    }

    fn disconnect_silent(&mut self) {
        let now = self.clock.now();
        let silence = self.options.silence();
        let silent = self.sessions.iter().filter(|(_, session)| now.since(session.heard_at) >= silence);
        let silent: Vec<_> =
            silent.filter_map(|(worker, session)| Some((worker, session.connection?))).collect();
        for (worker, connection) in silent {
            tracing::warn!(worker = %worker, "a worker has been silent for {} ms", silence.as_millis());
            self.port.disconnect(connection);
        }
    }

    /// A session without connection, batches or lease is nobody.
    fn forget_strangers(&mut self) {
        let now = self.clock.now();
        let gone = self
            .sessions
            .iter()
            .filter(|(_, session)| session.connection.is_none() && session.lease_until < now);
        let gone: Vec<WorkerId> = gone.map(|(worker, _)| worker).collect();
        for worker in gone {
            self.sessions.remove(worker);
            self.gathered.leaves.push((worker, WorkerState::Lost));
        }
    }

    /// Batches beyond every deadline, and outcomes that were asked for again in vain.
    fn end_overdue(&mut self) {
        let now = self.clock.now();
        let mut overdue: Vec<(WorkerId, BatchId, Vec<AttemptKey>)> = Vec::new();
        for (worker, session) in self.sessions.iter() {
            for (batch, held) in
                session.batches.iter().filter(|(_, held)| held.deadline < now && !held.outstanding.is_empty())
            {
                let key =
                    |(step, attempt): &(_, _)| AttemptKey { step: *step, attempt: *attempt, batch: *batch };
                overdue.push((worker, *batch, held.outstanding.keys().map(key).collect()));
                tracing::warn!(%worker, %batch, sent_at = %held.sent_at, "a batch is far beyond its deadline");
            }
        }
        for (worker, batch, attempts) in overdue {
            self.send_to(worker, ToWorker::Cancel(Cancel { attempts }));
            if let Some(session) = self.sessions.get_mut(worker) {
                session.forget(batch);
            }
            self.gathered.lost.push(batch);
        }
        if let Some(runner) = &self.runner {
            let lease = i64::try_from(self.options.lease_ms).unwrap_or(i64::MAX);
            let vain = runner.book.overdue(stepwright_workflow::Timestamp(now.0.saturating_sub(lease)));
            self.gathered.overdue.extend(vain);
        }
    }
}
