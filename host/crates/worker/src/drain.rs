//! Leaving in order: finish what is held, have it acknowledged, say goodbye.

use std::time::Duration;

use stepwright_transport::wire::{FromWorker, Goodbye};
use tokio::time::Instant;

use crate::end::{WorkerEnd, WorkerError};
use crate::link::Link;
use crate::slots::Ended;
use crate::worker::Service;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Steps still run.
    Finishing,
    /// No step runs; the last acknowledgements are on their way.
    Acknowledging,
    /// Nothing is waited for any more.
    Over,
}

/// A drain under way.
#[derive(Debug)]
pub(crate) struct Drain {
    reason: String,
    stage: Stage,
    /// When the stage ends at the latest.
    pub(crate) until: Instant,
    /// When the orchestrator was last told that there is no room.
    told_at: Instant,
    /// A batch came since.
    crossed: bool,
    /// Steps that will not be run here, though they are held.
    stranded: usize,
    /// What made the worker drain, if it was no request.
    error: Option<WorkerError>,
}

impl Drain {
    /// Whether not even a batch that was on its way is taken.
    pub(crate) fn takes_nothing(&self) -> bool {
        self.stage != Stage::Finishing || self.error.is_some()
    }

    /// A batch came that had crossed with the word that nothing more is wanted.
    pub(crate) fn crossed(&mut self) {
        self.crossed = true;
    }
}

impl Service {
    /// Begins to drain. With an error the queued steps are not run any more.
    pub(crate) fn begin_drain(&mut self, reason: String, error: Option<WorkerError>) {
        let stranded = if error.is_some() { self.slots.clear_queue() } else { 0 };
        if let Some(drain) = &mut self.drain {
            drain.stranded += stranded;
            drain.error = drain.error.take().or(error);
            return;
        }
        tracing::info!(reason, steps = self.held.steps_left(), "draining");
        let told_at = Instant::now();
        let until = told_at + Duration::from_millis(self.options.drain_ms);
        let stage = Stage::Finishing;
        self.drain = Some(Drain { reason, stage, until, told_at, crossed: false, stranded, error });
        // The orchestrator sends nothing to a worker that says it has no room.
        self.say_heartbeat();
    }

    /// Tells an orchestrator again that still sends batches: a worker that was full when it said so first looked busy, not
    /// draining. Right after outcomes it does not look full. Not often: a batch that two heartbeats do not list counts as
    /// lost, and one may be on its way.
    pub(crate) fn insist_on_drain(&mut self) {
        let pause = self.heartbeat.period() / 10;
        let Some(drain) =
            self.drain.as_mut().filter(|drain| drain.crossed && drain.told_at.elapsed() >= pause)
        else {
            return;
        };
        (drain.crossed, drain.told_at) = (false, Instant::now());
        self.say_heartbeat();
    }

    /// A stage has taken as long as it may.
    pub(crate) async fn drain_deadline(&mut self, ended: &mut Vec<Ended>) {
        match self.drain.as_ref().map(|drain| drain.stage) {
            Some(Stage::Finishing) => {
                self.slots.ended_now(ended);
                self.slots.shutdown().await;
                self.slots.ended_now(ended);
                self.enter(Stage::Acknowledging);
            }
            Some(Stage::Acknowledging) => self.enter(Stage::Over),
            Some(Stage::Over) | None => {}
        }
    }

    fn enter(&mut self, stage: Stage) {
        let until = Instant::now() + Duration::from_millis(self.options.ack_ms);
        if let Some(drain) = &mut self.drain {
            (drain.stage, drain.until) = (stage, until);
        }
    }

    /// Goes on to the next stage where that is possible; the end, once the last one is over.
    pub(crate) fn advance_drain(&mut self) -> Option<Result<WorkerEnd, WorkerError>> {
        let drain = self.drain.as_ref()?;
        if drain.stage == Stage::Finishing && self.held.steps_left() <= drain.stranded {
            self.enter(Stage::Acknowledging);
        }
        let stage = self.drain.as_ref()?.stage;
        let over = stage == Stage::Over || (stage == Stage::Acknowledging && self.held.is_settled());
        over.then(|| self.drained())
    }

    fn drained(&mut self) -> Result<WorkerEnd, WorkerError> {
        let (reason, error) = self.drain.take().map(|drain| (drain.reason, drain.error)).unwrap_or_default();
        let end = self.end(reason, false);
        if end.outcomes_unacknowledged > 0 {
            let outcomes = end.outcomes_unacknowledged;
            tracing::error!(outcomes, "left before the orchestrator acknowledged the last outcomes");
        } else if self.link == Link::Welcome {
            let reason = match end.steps_given_up {
                0 => end.reason.clone(),
                steps => format!("{}; {steps} steps were not finished in time", end.reason),
            };
            let _ = self.say(FromWorker::Goodbye(Goodbye { reason }));
        }
        error.map_or(Ok(end), Err)
    }

    pub(crate) fn aborted(&self) -> WorkerEnd {
        self.end("it was told to stop at once".to_owned(), true)
    }

    fn end(&self, reason: String, aborted: bool) -> WorkerEnd {
        WorkerEnd {
            reason,
            aborted,
            steps_ended: self.steps_ended,
            steps_given_up: self.held.steps_left(),
            outcomes_unacknowledged: self.held.unacknowledged().len(),
        }
    }
}
