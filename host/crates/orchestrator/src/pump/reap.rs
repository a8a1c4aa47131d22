//! What nobody tells the pump: silent workers, batches that never end, leases and timers of an earlier orchestrator.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stepwright_transport::wire::{Cancel, ToWorker};
use stepwright_workflow::audit::Finding;
use stepwright_workflow::{AttemptKey, BatchId, TaskId, WorkerId};

use super::Orchestrator;
use crate::audit;
use crate::stats::add;

/// Tasks in one audit.
const AUDIT_TASKS: u32 = 100;

impl Orchestrator {
    /// Gives the workers of an earlier orchestrator one lease's time to come back with what they hold.
    pub(super) async fn adopt_leases(&mut self) {
        let adopt = async {
            let mut round = self.store.round().await?;
            let now = self.clock.now();
            round.adopt(now.after(self.options.lease())).await?;
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
        self.say_heartbeats();
        self.renew_leases();
        // A round must be polled to let go of the only connection that some stores have, so a look waits for its end.
        self.look_owed = true;
        if self.runner.is_some() {
            self.look_if_owed().await;
        }
        self.count_messages();
    }

    /// Running totals of the port, for whoever asks the handle.
    pub(super) fn count_messages(&self) {
        let stats = self.port.stats();
        self.totals.messages_received.store(stats.received, Ordering::Relaxed);
        self.totals.messages_sent.store(stats.sent, Ordering::Relaxed);
        self.totals.messages_malformed.store(stats.malformed, Ordering::Relaxed);
    }

    /// What nobody told: once for each tick, between two rounds. However fast they follow each other, ended leases are found.
    pub(super) async fn look_if_owed(&mut self) {
        if !std::mem::take(&mut self.look_owed) {
            return;
        }
        self.glance().await;
        self.find_strays().await;
        self.ask_for_waiters().await;
        self.audit().await;
    }

    async fn glance(&mut self) {
        match self.store.glance(self.clock.now()).await {
            Ok(glance) => {
                self.gathered.look.claim |= glance.claimable;
                self.gathered.look.external |= glance.external;
                self.gathered.look.timers |= glance.claimable;
                self.gathered.look.cancelled |= glance.cancelled;
                self.gathered.look.expired |= glance.expired;
                self.next_ready_at = crate::round::earlier(self.next_ready_at, glance.next_ready_at);
                self.learn_suspects(glance.suspects).await;
                self.drop_stale_pauses(glance.stale_pauses).await;
            }
            Err(error) => tracing::error!(%error, "failed to look at the database"),
        }
    }

    /// Another orchestrator may have counted a loss, or cleared a component.
    async fn learn_suspects(&mut self, any: bool) {
        if !any {
            return self.suspects.clear();
        }
        match self.store.suspects().await {
            Ok(suspects) => self.suspects = suspects.into_iter().map(|suspect| suspect.digest).collect(),
            Err(error) => tracing::error!(%error, "failed to read which plugins lost workers lately"),
        }
    }

    /// A task that was paused may have ended all the same: what ran could finish.
    async fn drop_stale_pauses(&mut self, any: bool) {
        if any && let Err(error) = self.store.drop_stale_pauses().await {
            tracing::error!(%error, "failed to take the pauses of finished tasks away");
        }
    }

    /// One statement for all the workers, as soon as the lease of one of them has run for a while: those that joined at other times
    /// are renewed along with it, and fall into step.
    fn renew_leases(&mut self) {
        let (now, lease) = (self.clock.now(), self.options.lease());
        let alive = self.alive();
        let left =
            |worker: &WorkerId| self.sessions.get(*worker).map(|session| session.lease_until.since(now));
        if alive.iter().filter_map(left).any(|left| left < lease.mul_f32(0.6)) {
            self.gathered.renewals = alive.into_iter().collect();
        }
    }

    /// Finds batches that the database knows and this orchestrator does not: their commit was made but not reported, or an
    /// orchestrator that is gone made them. A worker that holds one lists it when it says hello, so nobody holds them.
    async fn find_strays(&mut self) {
        let (now, lease) = (self.clock.now(), self.options.lease());
        if self.sessions.iter().next().is_none() || now.since(self.strays_sought_at) < lease {
            return;
        }
        self.strays_sought_at = now;
        let workers: Vec<WorkerId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.connection.is_some())
            .map(|(worker, _)| worker)
            .collect();
        let until = now.before(self.options.lease());
        match self.store.open_batches(&workers, until).await {
            Ok(open) => {
                let held = |(batch, worker): &(BatchId, WorkerId)| {
                    self.sessions.get(*worker).is_some_and(|session| session.batches.contains_key(batch))
                };
                let strays: Vec<BatchId> =
                    open.iter().filter(|pair| !held(pair)).map(|(batch, _)| *batch).collect();
                if !strays.is_empty() {
                    tracing::warn!(
                        ?strays,
                        "found batches that were never sent, or whose orchestrator is gone"
                    );
                }
                self.gathered.lost.extend(strays);
            }
            Err(error) => tracing::error!(%error, "failed to look for stray batches"),
        }
    }

    /// Another orchestrator, or a person, may have settled a task that somebody here waits for.
    async fn ask_for_waiters(&mut self) {
        // Most who wait give up after a while, and a task may take days.
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        let waited_for: Vec<TaskId> = self.waiters.keys().copied().collect();
        if waited_for.is_empty() {
            return;
        }
        match self.store.task_states(&waited_for).await {
            Ok(states) => {
                for (task, state) in states.into_iter().filter(|(_, state)| state.is_settled()) {
                    for waiter in self.waiters.remove(&task).unwrap_or_default() {
                        let _ = waiter.send(state);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "failed to ask for the tasks that are waited for"),
        }
    }

    /// Proves for some unfinished tasks that something will move each of their steps on, and mends those of which that is not
    /// true. Another orchestrator may do the same at once: whoever comes second finds it mended.
    async fn audit(&mut self) {
        let now = self.clock.now();
        let Some(runner) = self.runner.as_ref().filter(|_| now >= self.audit_at) else { return };
        let quarter = (self.options.audit_ms / 4).max(1);
        let jitter = (runner.random)() % (2 * quarter);
        let pause = self.options.audit_ms - quarter.min(self.options.audit_ms) + jitter;
        self.audit_at = now.after(Duration::from_millis(pause));
        let audited = match self.auditor.look(&*self.store, self.audit_from, AUDIT_TASKS).await {
            Ok(audited) => audited,
            Err(error) => return tracing::error!(%error, "failed to audit the database"),
        };
        self.audit_from = audited.next.unwrap_or(TaskId(0));
        self.totals.steps_audited.fetch_add(audited.steps, Ordering::Relaxed);
        for contradiction in audited.contradictions {
            match audit::repair(&*self.store, contradiction.task, now).await {
                // Somebody else mended it, or was about to: a resume puts steps back in several transactions.
                Ok(mended) if mended.iter().all(|finding| matches!(finding, Finding::Parked { .. })) => {
                    self.gathered.look.claim |= !mended.is_empty();
                    self.gathered.look.external |= !mended.is_empty();
                }
                Ok(mended) => {
                    let mended: Vec<String> = mended.iter().map(ToString::to_string).collect();
                    tracing::error!(task = %contradiction.task, ?mended, "a task contradicted itself, and was put right");
                    add(&self.totals.contradictions_repaired, mended.len());
                    self.gathered.look.claim = true;
                    self.gathered.look.external = true;
                }
                Err(error) => tracing::error!(%error, task = %contradiction.task, "failed to repair a task"),
            }
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
            // Whether it is lost, or was welcomed by another orchestrator, is for the database to say.
            if let Some(session) = self.sessions.remove(worker) {
                tracing::warn!(worker = %worker, name = session.name, "a worker went and did not come back in time");
            }
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
            let vain = runner.book.overdue(now.before(self.options.lease()));
            self.gathered.overdue.extend(vain);
        }
    }
}
