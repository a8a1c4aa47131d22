//! The connection: greeting, heartbeats, silence, and when outcomes are sent.

use std::collections::BTreeMap;
use std::time::Duration;

use stepwright_transport::port::SendError;
use stepwright_transport::wire::{
    FromWorker, Hello, Offer, OrchestratorHeartbeat, PROTOCOL_VERSION, PartialResult, Serves, StepRunning,
    Welcome, WorkerHeartbeat,
};
use stepwright_workflow::{AttemptKey, BatchId, Failure, FailureClass};
use tokio::time::Instant;

use crate::attempt::replaced;
use crate::end::WorkerError;
use crate::worker::{Service, ticker};

/// Heartbeats without a word from the orchestrator before the connection is given up.
const SILENT_HEARTBEATS_MAX: u32 = 3;
/// The code of a failure that stands in for an outcome too large to send.
const TOO_LARGE: &str = "message_bytes_max";

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is none.
    Down,
    /// It stands, and the hello was sent.
    Greeting,
    /// The orchestrator answered: everything may be sent.
    Welcome,
    /// It was given up; the port has not said so yet.
    Leaving,
}

/// What the orchestrator was told last of how much this link takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offered {
    number: u64,
    credit: u32,
    /// It has not said yet that this counts: it may still send as much as it was offered before.
    open: bool,
}

impl Service {
    pub(crate) fn greet(&mut self) {
        self.heard_at = self.clock.now();
        self.held.rewind();
        self.link = Link::Greeting;
        // Nothing more can come through the connection before, and what is said now counts from the beginning.
        self.share.shrink(self.held_now());
        self.offered = Offered { credit: self.share.grow(), open: false, ..self.offered };
        let options = &self.options;
        let hello = Hello {
            versions: vec![PROTOCOL_VERSION],
            name: options.name.clone(),
            incarnation: options.incarnation.clone(),
            host: options.host.clone(),
            pid: options.pid,
            slots: self.share.slots(),
            credit: if self.drain.is_some() { 0 } else { self.offered.credit },
            credit_bytes: self.share.bytes(self.offered.credit),
            labels: options.labels.clone(),
            serves: Serves { wasm: true, external: Vec::new() },
            held: self.held.batches(),
            unacknowledged: self.held.unacknowledged(),
        };
        let _ = self.say(FromWorker::Hello(hello));
    }

    pub(crate) fn welcome(&mut self, welcome: &Welcome) -> Result<(), WorkerError> {
        if welcome.version != PROTOCOL_VERSION {
            return Err(WorkerError::Version { chosen: welcome.version, spoken: PROTOCOL_VERSION });
        }
        let period = Duration::from_millis(welcome.heartbeat_ms.max(1));
        if self.heartbeat.period() != period {
            self.heartbeat = ticker(period);
        }
        // Escapes and punctuation make the encoded message larger than the estimate, but not twice as large.
        self.message_bytes = usize::try_from(welcome.message_bytes_max / 2).unwrap_or(usize::MAX);
        self.slots.limit_payloads(welcome.payload_bytes_max);
        self.slots.forget_marks();
        let dropped = self.held.keep(&welcome.keep);
        if !dropped.is_empty() {
            tracing::warn!(batches = ?dropped, "dropped batches that the orchestrator gave up meanwhile");
            self.slots.drop_batches(&dropped);
        }
        self.link = Link::Welcome;
        self.line.open();
        self.tell(Some((&welcome.orchestrator, &welcome.peers)));
        tracing::info!(kept = welcome.keep.len(), "welcome at the orchestrator");
        self.alone = false;
        if self.drain.is_some() {
            self.say_heartbeat();
        }
        Ok(())
    }

    /// Sends outcomes if nobody gains by their waiting: a slot is free, a batch has ended, enough have gathered, or they have
    /// waited long enough.
    pub(crate) fn flush_if_due(&mut self, coalesced: bool) {
        if self.link != Link::Welcome || !self.held.is_waiting() {
            self.coalesce_until = None;
            return;
        }
        let many = self.held.unsent() >= self.options.coalesce_outcomes_max;
        if coalesced || many || self.held.has_ended_batch() || !self.slots.is_full() {
            self.flush();
        } else if self.coalesce_until.is_none() {
            self.coalesce_until = Some(Instant::now() + self.options.coalesce());
        }
    }

    pub(crate) fn flush(&mut self) {
        self.coalesce_until = None;
        let mut outcomes = false;
        while self.link == Link::Welcome
            && let Some(message) = self.held.next_message(self.message_bytes)
        {
            let carried = carried(&message);
            outcomes |= !carried.is_empty();
            if let Err(SendError::TooLarge { bytes, bytes_max }) = self.say(message) {
                self.too_large(&carried, bytes, bytes_max);
            }
        }
        if outcomes {
            self.insist_on_drain();
        }
    }

    /// A message that the port would not take: in smaller pieces, and a single outcome as a failure that says why.
    fn too_large(&mut self, carried: &[AttemptKey], bytes: usize, bytes_max: usize) {
        match carried {
            [] => tracing::error!(bytes, bytes_max, "a batch's closing list does not fit in a message"),
            [key] => {
                let Some(outcome) = self.held.outcome(*key) else { return };
                if outcome.error.as_ref().and_then(|error| error.code.as_deref()) == Some(TOO_LARGE) {
                    tracing::error!(step = %key.step, bytes, bytes_max, "not even a failure fits in a message");
                    return;
                }
                let message =
                    format!("the outcome takes {bytes} bytes on the wire; a message may have {bytes_max}");
                let failure = Failure::new(FailureClass::OutputTooLarge, message).with_code(TOO_LARGE);
                let outcome = replaced(outcome, failure);
                self.held.replace(key.batch, outcome);
            }
            several => {
                self.message_bytes = self.message_bytes.min(bytes) / 2;
                for key in several {
                    self.held.send_again(*key);
                }
            }
        }
    }

    /// Once in every heartbeat's time.
    pub(crate) fn beat(&mut self) {
        let silence = self.clock.now().since(self.heard_at);
        if self.link != Link::Down && silence > self.heartbeat.period() * SILENT_HEARTBEATS_MAX {
            tracing::warn!(
                "the orchestrator has been silent for {} ms; connecting anew",
                silence.as_millis()
            );
            self.leave();
        } else if self.link == Link::Down
            && !self.alone
            && silence > self.heartbeat.period() * SILENT_HEARTBEATS_MAX
        {
            self.alone = true;
            tracing::warn!("no orchestrator answers; tries go on until one does");
        }
        if self.link == Link::Welcome {
            let repeated = self.held.beat();
            if !repeated.is_empty() {
                tracing::warn!(batches = ?repeated, "sends outcomes again that nobody has acknowledged");
            }
            self.flush();
            self.say_running();
            self.divide();
            self.say_heartbeat();
            if self.line.beat() {
                self.ask();
            }
        }
    }

    /// Offers this link's fair part, as soon as the other links' orchestrators have let go of it.
    fn divide(&mut self) {
        if !self.offered.open {
            self.share.shrink(self.offered.credit.max(self.held_now()));
        }
        let credit = self.share.grow();
        if credit != self.offered.credit {
            self.offered = Offered { number: self.offered.number + 1, credit, open: true };
        }
    }

    pub(crate) fn heartbeat_of_orchestrator(&mut self, heartbeat: OrchestratorHeartbeat) {
        if heartbeat.offer == Some(self.offered.number) {
            self.offered.open = false;
        }
        if !heartbeat.peers.is_empty() {
            self.tell_peers(heartbeat.peers);
        }
    }

    fn held_now(&self) -> u32 {
        u32::try_from(self.held.steps_left()).unwrap_or(u32::MAX)
    }

    fn offer(&self) -> Option<Offer> {
        let Offered { number, credit, open } = self.offered;
        let (slots, credit_bytes) = (self.share.slots(), self.share.bytes(credit));
        open.then_some(Offer { number, slots, credit, credit_bytes })
    }

    fn say_running(&mut self) {
        let mut running: BTreeMap<BatchId, Vec<StepRunning>> = BTreeMap::new();
        for mark in self.slots.marks() {
            let (fraction, note) = mark.progress.unzip();
            let AttemptKey { step, attempt, batch } = mark.key;
            let note = note.filter(|note| !note.is_empty());
            running.entry(batch).or_default().push(StepRunning { step, attempt, fraction, note });
        }
        for (batch, running) in running {
            // A lost mark is no loss: another connection begins with new ones.
            let _ =
                self.say(FromWorker::PartialResult(PartialResult { batch, outcomes: Vec::new(), running }));
        }
    }

    pub(crate) fn say_heartbeat(&mut self) {
        if self.link != Link::Welcome {
            return;
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let free = if self.drain.is_some() { 0 } else { self.offered.credit.saturating_sub(self.held_now()) };
        let heartbeat = WorkerHeartbeat {
            held: self.held.batches(),
            latest: self.latest,
            slots_free: count(self.share.slots_free()),
            credit_free: free,
            draining: self.drain.is_some(),
            offer: self.offer(),
        };
        let _ = self.say(FromWorker::Heartbeat(heartbeat));
    }

    /// Sends a message; a connection that does not take it is given up, and everything is sent again on the next one.
    pub(crate) fn say(&mut self, message: FromWorker) -> Result<(), SendError> {
        let sent = self.port.send(message);
        if sent == Err(SendError::Gone) {
            self.leave();
        }
        sent
    }

    fn leave(&mut self) {
        self.link = Link::Leaving;
        self.line.close();
        self.heard_at = self.clock.now();
        self.port.reconnect();
    }
}

fn carried(message: &FromWorker) -> Vec<AttemptKey> {
    let FromWorker::PartialResult(PartialResult { batch, outcomes, .. }) = message else { return Vec::new() };
    let key = |outcome: &stepwright_transport::wire::StepOutcome| AttemptKey {
        step: outcome.step,
        attempt: outcome.attempt,
        batch: *batch,
    };
    outcomes.iter().map(key).collect()
}
