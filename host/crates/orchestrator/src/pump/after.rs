//! What a committed round makes known, and what a failed one leaves to be done again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use stepwright_store::StoreError;
use stepwright_transport::port::ConnectionId;
use stepwright_transport::wire::{Ack, Cancel, ComponentPart, PROTOCOL_VERSION, Resend, ToWorker, Welcome};
use stepwright_workflow::{AttemptKey, WorkerId};

use super::{FAILURES_UNTOLD_MAX, Orchestrator, RETRY_DELAY, RoundDone};
use crate::handle::{HandleError, StartReply};
use crate::round::{Counts, RoundInput, RoundOutput, SentBatch, earlier};
use crate::session::{HeldBatch, Session};
use crate::stats::add;

impl Orchestrator {
    pub(super) fn after_round(&mut self, (runner, input, replies, result): RoundDone) {
        self.runner = Some(runner);
        match result {
            Ok(output) => {
                self.totals.rounds.fetch_add(1, Ordering::Relaxed);
                self.feed.nudge();
                self.publish(&input, output, replies);
            }
            Err(error) => self.put_back(*input, replies, &error),
        }
        self.confirm_offers();
    }

    fn publish(&mut self, input: &RoundInput, mut output: RoundOutput, replies: Vec<StartReply>) {
        let failed = self.totals.rounds_failing.swap(0, Ordering::Relaxed);
        if failed > 0 {
            tracing::info!(failed, "rounds are committed again");
        }
        self.count(&output.counts);
        self.count_messages();
        self.welcome(&mut output);
        self.let_go(&output.gone);
        for (worker, until) in &output.renewed {
            if let Some(session) = self.sessions.get_mut(*worker) {
                session.lease_until = *until;
            }
        }
        self.acknowledge(input, &output);
        self.resend_and_cancel(&output);
        for sent in output.batches {
            self.send_batch(sent);
        }
        add(&self.totals.tasks_started, output.created.iter().map(Vec::len).sum());
        for (reply, created) in replies.into_iter().zip(output.created) {
            if let (Some(settled), Some(first)) = (reply.settled, created.first())
                && !first.existing
            {
                self.waiters.entry(first.task).or_default().push(settled);
            }
            // Whoever asked may have stopped waiting; the tasks exist all the same.
            let _ = reply.created.send(Ok(created));
        }
        add(&self.totals.tasks_settled, output.settled.len());
        for (task, state) in output.settled {
            for waiter in self.waiters.remove(&task).unwrap_or_default() {
                let _ = waiter.send(state);
            }
        }
        self.suspects.extend(&output.suspected);
        for digest in &output.acquitted {
            self.suspects.remove(digest);
        }
        self.more = output.more;
        if output.announced {
            self.announced_at = Some(tokio::time::Instant::now());
        }
        self.announce_owed = !output.announced && (self.announce_owed || output.concerns_others);
        // Room that opened up while the round ran is used at once.
        let rooms = self.sessions.rooms();
        self.gathered.look.claim |= output.more && rooms.iter().any(|room| room.wasm);
        self.gathered.look.external |=
            output.more_external && rooms.iter().any(|room| !room.external.is_empty());
        self.next_ready_at = if input.look.timers {
            output.next_ready_at
        } else {
            earlier(self.next_ready_at, output.next_ready_at)
        };
    }

    /// Their leases ended, or another orchestrator speaks for them: whoever is still connected must say hello again.
    fn let_go(&mut self, workers: &[WorkerId]) {
        for worker in workers {
            match self.sessions.remove(*worker) {
                Some(Session { connection: Some(connection), name, .. }) => {
                    tracing::warn!(worker = %worker, name, "a worker's lease ended while it was connected");
                    self.port.disconnect(connection);
                }
                _ => tracing::info!(worker = %worker, "a worker that is not connected here is lost"),
            }
        }
    }

    fn welcome(&mut self, output: &mut RoundOutput) {
        for (connection, hello, worker, lease_until, kept) in output.joined.drain(..) {
            self.greeting.retain(|greeting| *greeting != connection);
            let now = self.clock.now();
            let mut session = Session::new(connection, &hello, now, lease_until);
            let (version, peers) = self.peers.list();
            session.peers_told = version;
            self.peers.wanted = true;
            for (batch, unreported) in &kept {
                let outstanding = unreported.iter().map(|pair| (*pair, 0)).collect();
                // Its time began on another connection; it gets the longest deadline anew.
                let deadline = now.after(std::time::Duration::from_secs(3_600));
                session.hold(*batch, HeldBatch { sent_at: now, deadline, outstanding });
            }
            tracing::info!(worker = %worker, name = session.name, slots = session.slots, kept = kept.len(), "worker joined");
            self.sessions.join(worker, session);
            let welcome = Welcome {
                version: PROTOCOL_VERSION,
                heartbeat_ms: self.options.heartbeat_ms,
                lease_ms: self.options.lease_ms,
                message_bytes_max: self.options.message_bytes_max,
                payload_bytes_max: self.options.payload_bytes_max,
                keep: kept.into_iter().map(|(batch, _)| batch).collect(),
                orchestrator: self.options.incarnation.clone(),
                peers,
            };
            self.send(connection, ToWorker::Welcome(welcome));
            self.gathered.look.claim = true;
            self.gathered.look.external = true;
        }
    }

    /// Sends a part of a component, unless its worker has gone meanwhile: it asks again wherever it is.
    pub(super) fn hand_over(&mut self, connection: ConnectionId, part: ComponentPart) {
        if self.sessions.worker(connection).is_some() {
            self.send(connection, ToWorker::ComponentPart(part));
        }
    }

    fn acknowledge(&mut self, input: &RoundInput, output: &RoundOutput) {
        let mut acks: BTreeMap<WorkerId, Ack> = BTreeMap::new();
        for (key, worker) in output.acknowledged.iter().zip(&input.reporters) {
            acks.entry(*worker).or_default().outcomes.push(*key);
        }
        for (worker, batch) in &output.reconciled {
            acks.entry(*worker).or_default().reconciled.push(*batch);
            if let Some(session) = self.sessions.get_mut(*worker) {
                session.forget(*batch);
            }
        }
        add(&self.totals.batches_reconciled, output.reconciled.len());
        for batch in &output.lost {
            if let Some(worker) = self.sessions.holder(*batch)
                && let Some(session) = self.sessions.get_mut(worker)
            {
                session.forget(*batch);
            }
        }
        for (worker, ack) in acks {
            self.send_to(worker, ToWorker::Ack(ack));
        }
    }

    fn resend_and_cancel(&mut self, output: &RoundOutput) {
        let mut resend: BTreeMap<WorkerId, Vec<AttemptKey>> = BTreeMap::new();
        for (worker, key) in &output.resend {
            resend.entry(*worker).or_default().push(*key);
        }
        for (worker, attempts) in resend {
            self.send_to(worker, ToWorker::Resend(Resend { attempts }));
        }
        let mut cancel: BTreeMap<WorkerId, Vec<AttemptKey>> = BTreeMap::new();
        for key in &output.cancel {
            if let Some(worker) = self.sessions.holder(key.batch) {
                cancel.entry(worker).or_default().push(*key);
            }
        }
        for (worker, attempts) in cancel {
            self.send_to(worker, ToWorker::Cancel(Cancel { attempts }));
        }
    }

    fn send_batch(&mut self, sent: SentBatch) {
        let now = self.clock.now();
        let Some(session) = self.sessions.get_mut(sent.worker) else { return };
        let keys = sent.message.steps.iter().map(|step| (step.step, step.attempt));
        let outstanding: BTreeMap<_, _> = keys.zip(sent.weights).collect();
        // Everything before it, and itself, each at its slowest; and time for the messages.
        let turns = (session.load() + outstanding.len()) as u64 / u64::from(session.slots) + 1;
        let longest = sent.timeout_ms_max.saturating_mul(turns).saturating_add(30_000);
        let deadline = now.after(std::time::Duration::from_millis(longest));
        add(&self.totals.steps_sent, outstanding.len());
        add(&self.totals.batches_sent, 1);
        session.hold(sent.message.batch, HeldBatch { sent_at: now, deadline, outstanding });
        // A worker that is gone by now loses the batch with its lease.
        self.send_to(sent.worker, ToWorker::Batch(sent.message));
    }

    pub(super) fn send_to(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(connection) = self.sessions.get(worker).and_then(|session| session.connection) {
            self.send(connection, message);
        }
    }

    pub(super) fn send(&mut self, connection: ConnectionId, message: ToWorker) {
        if let Err(error) = self.port.send(connection, message) {
            // What was to be said is in the database: a lease that ends, an outcome that is sent again and acknowledged then.
            tracing::warn!(connection = connection.0, %error, "failed to send a message");
        }
    }

    fn count(&self, counts: &Counts) {
        let totals = &self.totals;
        add(&totals.outcomes_completed, counts.completed);
        add(&totals.outcomes_failed, counts.failed);
        add(&totals.retries_scheduled, counts.retries);
        add(&totals.outcomes_late, counts.late);
        add(&totals.outcomes_duplicate, counts.duplicate);
        add(&totals.discrepancies, counts.discrepancies);
        add(&totals.leases_lost, counts.lost);
        add(&totals.plugins_quarantined, counts.quarantined);
    }

    /// The transaction failed and changed nothing: everything goes into the next one. If the database refused the content,
    /// outcomes are tried one by one, and one that fails alone is given up: its lease ends, and the step is tried again.
    fn put_back(&mut self, mut input: RoundInput, replies: Vec<StartReply>, error: &StoreError) {
        self.totals.rounds_failed.fetch_add(1, Ordering::Relaxed);
        let failing = self.totals.rounds_failing.fetch_add(1, Ordering::Relaxed) + 1;
        let reason = describe(error);
        let passing = error.is_passing();
        if let StoreError::WorkersGone { workers } = error {
            self.let_go(workers);
        }
        // Several come in a second for as long as a disk is full, and the log may be on the same disk.
        if failing.is_power_of_two() || failing.is_multiple_of(FAILURES_UNTOLD_MAX) {
            tracing::error!(reason, outcomes = input.outcomes.len(), in_a_row = failing, "a round failed");
        }
        if !passing {
            // Requests from this process get the error back rather than another try.
            input.starts.clear();
            for reply in replies {
                let _ = reply.created.send(Err(HandleError::NotCreated(reason.clone())));
            }
            if input.outcomes.len() <= 1 && self.isolating > 0 {
                tracing::error!(outcomes = ?input.outcomes, completions = ?input.completions, "gave up what the database refuses");
                input.outcomes.clear();
                input.reporters.clear();
                input.completions.clear();
                input.running.clear();
                // The database still knows these, and they are found again.
                input.lost.clear();
                input.overdue.clear();
                input.leaves.clear();
            }
            self.isolating = input.outcomes.len().max(1);
        } else {
            self.replies.splice(0..0, replies);
        }
        self.not_before = Some(tokio::time::Instant::now() + RETRY_DELAY);
        self.gathered.prepend(input);
    }
}

fn describe(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
