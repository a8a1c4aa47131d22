//! The worker's loop: one task owns the port and what is held, and reacts to one event at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::Executor;
use stepwright_transport::port::{WorkerEvent, WorkerPort};
use stepwright_transport::wire::{Batch, Cancel, Resend, ToWorker};
use stepwright_workflow::{AttemptKey, BatchId, Clock, Failure, FailureClass, Timestamp};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::attempt::never_ran;
use crate::drain::Drain;
use crate::end::{WorkerEnd, WorkerError};
use crate::fetch::{Fetches, Line};
use crate::held::Held;
use crate::link::{Link, Offered};
use crate::options::WorkerOptions;
use crate::peers::News;
use crate::pool::{Pool, Share};
use crate::slots::{Ended, Job, Slots};

/// How often to look for silence until the orchestrator has said how often it wants a heartbeat.
const HEARTBEAT_UNTIL_WELCOME: Duration = Duration::from_secs(1);

/// A worker that has not begun.
pub struct Worker {
    port: Box<dyn WorkerPort>,
    executor: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    options: WorkerOptions,
    share: Share,
    fetches: Fetches,
    news: Option<News>,
}

impl Worker {
    /// A worker that reaches its orchestrator through `port` and runs steps with `executor`.
    pub fn new(
        port: Box<dyn WorkerPort>,
        executor: Arc<dyn Executor>,
        clock: Arc<dyn Clock>,
        options: WorkerOptions,
    ) -> Self {
        let share = Pool::new(&options).link();
        Self { port, executor, clock, options, share, fetches: Fetches::none(), news: None }
    }

    /// One of several links that share the slots and the credit of their process.
    #[must_use]
    pub fn sharing(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// One that also asks for the components that its process has ordered.
    #[must_use]
    pub fn fetching(self, fetches: Fetches) -> Self {
        Self { fetches, ..self }
    }

    /// Tells what it hears of orchestrators.
    #[must_use]
    pub fn telling(self, news: News) -> Self {
        Self { news: Some(news), ..self }
    }

    /// Works until it is told to stop, by a token or by the orchestrator, or cannot go on.
    ///
    /// `drain`: finish what is held within `drain_ms`, have it acknowledged, say goodbye. `abort`: stop at once; what is
    /// held is lost, and its leases end by themselves. Either way the port is closed and no attempt runs on afterwards.
    ///
    /// Must be called within a tokio runtime. An error means that starting again as it is would not help, except
    /// [`WorkerError::PortClosed`].
    pub async fn run(
        self,
        drain: CancellationToken,
        abort: CancellationToken,
    ) -> Result<WorkerEnd, WorkerError> {
        let clock = Arc::clone(&self.clock);
        let slots = Slots::new(self.options.slots(), &self.share, self.executor, clock);
        let mut service = Service {
            heard_at: self.clock.now(),
            port: self.port,
            clock: self.clock,
            options: self.options,
            share: self.share,
            line: self.fetches.line(),
            offered: Offered::default(),
            news: self.news,
            heard_from: String::new(),
            slots,
            held: Held::default(),
            latest: None,
            link: Link::Down,
            alone: false,
            heartbeat: ticker(HEARTBEAT_UNTIL_WELCOME),
            message_bytes: usize::MAX,
            coalesce_until: None,
            drain: None,
            broken_in_a_row: 0,
            steps_ended: 0,
        };
        let result = service.serve(&drain, &abort).await;
        service.slots.shutdown().await;
        service.port.close().await;
        result
    }
}

pub(crate) fn ticker(period: Duration) -> Interval {
    let mut ticker = interval_at(Instant::now() + period, period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// A worker at work.
pub(crate) struct Service {
    pub(crate) port: Box<dyn WorkerPort>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: WorkerOptions,
    pub(crate) share: Share,
    pub(crate) line: Line,
    pub(crate) offered: Offered,
    pub(crate) news: Option<News>,
    /// The incarnation that welcomed this link on the present connection.
    pub(crate) heard_from: String,
    pub(crate) slots: Slots,
    pub(crate) held: Held,
    /// The newest batch that came, taken or not.
    pub(crate) latest: Option<BatchId>,
    pub(crate) link: Link,
    /// It was said that no orchestrator answers.
    pub(crate) alone: bool,
    /// When the orchestrator was last heard.
    pub(crate) heard_at: Timestamp,
    pub(crate) heartbeat: Interval,
    /// What a message of outcomes should weigh at most, by estimate.
    pub(crate) message_bytes: usize,
    /// When finished steps have waited long enough for others.
    pub(crate) coalesce_until: Option<Instant>,
    pub(crate) drain: Option<Drain>,
    broken_in_a_row: u32,
    pub(crate) steps_ended: u64,
}

enum Event {
    Abort,
    Drain,
    Heartbeat,
    DrainDeadline,
    Coalesced,
    Port(Option<WorkerEvent>),
    Ended,
    Wanted,
}

impl Service {
    async fn serve(
        &mut self,
        drain: &CancellationToken,
        abort: &CancellationToken,
    ) -> Result<WorkerEnd, WorkerError> {
        let mut ended = Vec::new();
        loop {
            let mut coalesced = false;
            match self.next_event(drain, abort, &mut ended).await {
                Event::Abort => return Ok(self.aborted()),
                Event::Drain => self.begin_drain("it was told to stop".to_owned(), None),
                Event::Heartbeat => self.beat(),
                Event::DrainDeadline => self.drain_deadline(&mut ended).await,
                Event::Coalesced => coalesced = true,
                Event::Port(None) => return Err(WorkerError::PortClosed),
                Event::Port(Some(event)) => self.port_event(event)?,
                Event::Ended => {}
                Event::Wanted => self.ask(),
            }
            self.take_ended(&mut ended);
            self.flush_if_due(coalesced);
            if let Some(result) = self.advance_drain() {
                return result;
            }
        }
    }

    async fn next_event(
        &mut self,
        drain: &CancellationToken,
        abort: &CancellationToken,
        ended: &mut Vec<Ended>,
    ) -> Event {
        let draining = self.drain.is_some();
        let deadline = self.drain.as_ref().map(|drain| drain.until);
        // What is rare comes first, so that what is frequent cannot starve it.
        tokio::select! {
            biased;
            () = abort.cancelled() => Event::Abort,
            () = drain.cancelled(), if !draining => Event::Drain,
            _ = self.heartbeat.tick() => Event::Heartbeat,
            () = at(deadline), if draining => Event::DrainDeadline,
            () = at(self.coalesce_until), if self.coalesce_until.is_some() => Event::Coalesced,
            event = self.port.recv() => Event::Port(event),
            () = self.slots.ended(ended) => Event::Ended,
            () = self.line.wanted() => Event::Wanted,
        }
    }

    fn port_event(&mut self, event: WorkerEvent) -> Result<(), WorkerError> {
        match event {
            WorkerEvent::Connected => self.greet(),
            WorkerEvent::Disconnected => {
                tracing::info!(held = self.held.steps_left(), "the connection to the orchestrator is gone");
                self.link = Link::Down;
                self.line.close();
                self.tell(None);
            }
            WorkerEvent::Message(message) => {
                self.heard_at = self.clock.now();
                self.message(message)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, message: ToWorker) -> Result<(), WorkerError> {
        match message {
            ToWorker::Welcome(welcome) => self.welcome(&welcome)?,
            ToWorker::Refuse(refuse) => return Err(WorkerError::Refused { reason: refuse.reason }),
            // Only a welcome says which of the earlier connection's batches still count.
            _ if self.link != Link::Welcome => {}
            ToWorker::Batch(batch) => self.batch(batch),
            ToWorker::Ack(ack) => self.held.acknowledged(&ack),
            ToWorker::Resend(resend) => self.resend(&resend),
            ToWorker::Cancel(cancel) => self.cancel(&cancel),
            ToWorker::Drain(drain) => {
                self.begin_drain(format!("the orchestrator asked: {}", drain.reason), None);
            }
            ToWorker::Heartbeat(heartbeat) => self.heartbeat_of_orchestrator(heartbeat),
            ToWorker::ComponentPart(part) => {
                if self.line.part(part) {
                    self.ask();
                }
            }
        }
        Ok(())
    }

    /// Takes a batch in. One that is not taken is not in the next heartbeats either, and so is given to another worker.
    fn batch(&mut self, mut batch: Batch) {
        let id = batch.batch;
        self.latest = self.latest.max(Some(id));
        // Attempts that were told to stop hold a slot for a moment after the orchestrator has let go of them.
        let credit = usize::try_from(self.share.reserved()).unwrap_or(usize::MAX);
        let room = credit.saturating_add(self.options.slots());
        if self.held.steps_left() + batch.steps.len() > room {
            let held = self.held.steps_left();
            tracing::error!(batch = %id, steps = batch.steps.len(), held, credit, "refused a batch beyond the credit");
            return;
        }
        if self.drain.as_ref().is_some_and(Drain::takes_nothing) {
            return;
        }
        let Some(mut fresh) = self.held.take(id, batch.steps.iter().map(|step| (step.step, step.attempt)))
        else {
            tracing::debug!(batch = %id, "ignored a batch that came twice");
            return;
        };
        batch.steps.retain(|step| fresh.remove(&(step.step, step.attempt)));
        self.slots.queue(batch.steps.into_iter().map(|step| Job { batch: id, step }));
        if let Some(drain) = &mut self.drain {
            drain.crossed();
        }
    }

    fn resend(&mut self, resend: &Resend) {
        for key in &resend.attempts {
            if !self.held.send_again(*key) {
                let AttemptKey { step, attempt, batch } = key;
                tracing::warn!(%step, attempt, %batch, "was asked for an outcome that is not here any more");
            }
        }
    }

    fn cancel(&mut self, cancel: &Cancel) {
        let attempts: HashSet<AttemptKey> = cancel.attempts.iter().copied().collect();
        let now = self.clock.now();
        for (key, identity) in self.slots.cancel(&attempts) {
            let failure =
                Failure::new(FailureClass::Cancelled, "the attempt was told to stop before it began");
            self.held.ended(key, never_ran(identity, now, failure));
        }
    }

    fn take_ended(&mut self, ended: &mut Vec<Ended>) {
        for Ended { key, result } in ended.drain(..) {
            self.steps_ended += 1;
            match result {
                Ok(outcome) => {
                    self.broken_in_a_row = 0;
                    self.held.ended(key, outcome);
                }
                Err(reason) => self.broken(key, reason),
            }
        }
    }

    /// The step is not charged for it: its lease ends with the batch, and it is tried elsewhere.
    fn broken(&mut self, key: AttemptKey, reason: String) {
        let AttemptKey { step, attempt, batch } = key;
        tracing::error!(%step, attempt, %batch, reason, "failed to run a step: the host is broken");
        self.held.give_back(key);
        self.broken_in_a_row += 1;
        if self.broken_in_a_row == self.options.broken_max.max(1) {
            let error = WorkerError::HostBroken { times: self.broken_in_a_row, reason };
            self.begin_drain("its host is broken".to_owned(), Some(error));
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
