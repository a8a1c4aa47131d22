//! The pump: owns the connections, gathers what comes, runs one round after another, and sends what follows.
//!
//! While a round commits, the next one gathers; so under load one commit carries many steps, and a single step waits for
//! nobody. No step waits for a tick: ticks only find what nobody told the pump.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stepwright_store::{Store, StoreError};
use stepwright_transport::port::{ConnectionId, OrchestratorPort};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Clock, Digest, TaskId, Timestamp, WorkerId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit::Auditor;
use crate::book::Book;
use crate::feed::Feed;
use crate::handle::{COMMANDS_MAX, Command, OrchestratorHandle, StartReply};
use crate::options::{OrchestratorOptions, Random};
use crate::plans::Plans;
use crate::round::{RoundInput, RoundOutput, Runner};
use crate::session::Sessions;
use crate::stats::Totals;
use crate::supply::{Desk, Shelf};

mod after;
mod intake;
mod peers;
mod reap;

/// How long to wait after a round that the database refused, before it is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// Failed rounds in a row between two lines of the log, once there were many: half a minute.
const FAILURES_UNTOLD_MAX: u64 = 150;

/// Why an orchestrator stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// The transport ended.
    #[error("the transport was closed")]
    PortClosed,
}

/// Between two calls to other orchestrators that there is more to do than our workers have room for.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(250);

type RoundDone = (Runner, Box<RoundInput>, Vec<StartReply>, Result<RoundOutput, StoreError>);
type RoundFuture = Pin<Box<dyn Future<Output = RoundDone> + Send>>;

/// An orchestrator in front of one store and one port.
pub struct Orchestrator {
    options: OrchestratorOptions,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    port: Box<dyn OrchestratorPort>,
    commands: mpsc::Receiver<Command>,
    totals: Arc<Totals>,
    feed: Arc<Feed>,
    /// At home between rounds.
    runner: Option<Runner>,
    gathered: RoundInput,
    replies: Vec<StartReply>,
    sessions: Sessions,
    peers: peers::Peers,
    /// Offers of workers that nobody has confirmed to them yet.
    offers: Vec<(WorkerId, u64)>,
    /// Connections that said hello and wait for their round.
    greeting: Vec<ConnectionId>,
    /// Components for workers.
    desk: Desk,
    waiters: HashMap<TaskId, Vec<oneshot::Sender<TaskState>>>,
    next_ready_at: Option<Timestamp>,
    /// A tick came while a round was under way: its look at the database comes before the next one.
    look_owed: bool,
    strays_sought_at: Timestamp,
    /// When the next tasks are audited, and from where on.
    audit_at: Timestamp,
    auditor: Auditor,
    audit_from: TaskId,
    /// Components that lost workers lately, as of the last tick.
    suspects: BTreeSet<Digest>,
    announced_at: Option<tokio::time::Instant>,
    /// A round that others should know of came too soon after the last announcement.
    announce_owed: bool,
    /// The last round left claimable steps behind, for want of room.
    more: bool,
    /// Items are applied one by one after a round that failed on its content.
    isolating: usize,
    /// No round before this moment: the database refused the last one.
    not_before: Option<tokio::time::Instant>,
}

impl Orchestrator {
    /// An orchestrator and the handle to it. It does nothing until it is run.
    pub fn new(
        options: OrchestratorOptions,
        store: Arc<dyn Store>,
        port: Box<dyn OrchestratorPort>,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> (Self, OrchestratorHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let totals = Arc::new(Totals::default());
        let feed = Feed::new(store.clone());
        let handle = OrchestratorHandle {
            commands: sender,
            store: store.clone(),
            totals: totals.clone(),
            feed: feed.clone(),
        };
        let runner = Runner {
            store: store.clone(),
            clock: clock.clone(),
            random,
            options: options.clone(),
            plans: Plans::default(),
            book: Book::default(),
        };
        let mut gathered = RoundInput::default();
        // Whatever an earlier orchestrator left is found by the first round.
        gathered.look.timers = true;
        gathered.look.claim = true;
        gathered.look.external = true;
        gathered.look.cancelled = true;
        let orchestrator = Self {
            options,
            clock,
            store,
            port,
            commands,
            totals,
            feed,
            runner: Some(runner),
            gathered,
            replies: Vec::new(),
            sessions: Sessions::default(),
            peers: peers::Peers::default(),
            offers: Vec::new(),
            greeting: Vec::new(),
            desk: Desk::closed(),
            waiters: HashMap::new(),
            next_ready_at: None,
            look_owed: false,
            strays_sought_at: Timestamp(0),
            audit_at: Timestamp(0),
            auditor: Auditor::default(),
            audit_from: TaskId(0),
            suspects: BTreeSet::new(),
            announced_at: None,
            announce_owed: false,
            more: false,
            isolating: 0,
            not_before: None,
        };
        (orchestrator, handle)
    }

    /// Gives workers the components that are registered, from this shelf.
    #[must_use]
    pub fn supplying(mut self, shelf: Shelf) -> Self {
        self.desk = Desk::open(shelf, Arc::clone(&self.store), self.options.message_bytes_max);
        self
    }

    /// Tells this feed of its rounds in place of its own: that of another pump of the process.
    #[must_use]
    pub fn feeding(mut self, feed: Arc<Feed>) -> Self {
        self.feed = feed;
        self
    }

    /// Runs until `stop`. The round under way is finished, workers keep what they hold, and the port is closed.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), OrchestratorError> {
        self.adopt_leases().await;
        self.stay_enrolled().await;
        let mut tick = tokio::time::interval(Duration::from_millis(self.options.tick_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round: Option<RoundFuture> = None;
        let result = loop {
            if round.is_none() {
                self.stay_enrolled().await;
                self.look_if_owed().await;
                round = self.next_round();
            }
            let (space, wake_at) = (self.has_space(), self.wake_at());
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                done = async { match round.as_mut() { Some(round) => round.await, None => std::future::pending().await } } => {
                    round = None;
                    self.after_round(done);
                }
                event = self.port.recv(), if space => match event {
                    Some(event) => self.take_event(event),
                    None => break Err(OrchestratorError::PortClosed),
                },
                Some(command) = self.commands.recv(), if space => self.take_command(command),
                Some((connection, part)) = self.desk.ready() => self.hand_over(connection, part),
                _ = tick.tick() => self.reap().await,
                () = sleep_until(wake_at), if round.is_none() => self.timer_fired(),
            }
        };
        if let Some(round) = round {
            let done = round.await;
            self.after_round(done);
        }
        self.dismiss().await;
        self.port.close().await;
        result
    }

    /// Starts a round if there is anything to do. Everything gathered goes in, up to the limits.
    fn next_round(&mut self) -> Option<RoundFuture> {
        if self.not_before.is_some_and(|moment| moment > tokio::time::Instant::now()) {
            return None;
        }
        self.not_before = None;
        // Where rounds follow each other at once, nobody waits for the timer.
        if self.next_ready_at.is_some_and(|at| at <= self.clock.now()) {
            self.timer_fired();
        }
        self.gathered.rooms = self.sessions.rooms();
        if self.gathered.is_idle() {
            return None;
        }
        self.gathered.alive = self.alive();
        if self.gathered.look.cancelled {
            let connected = self.sessions.iter().filter(|(_, session)| session.connection.is_some());
            self.gathered.connected = connected.map(|(worker, _)| worker).collect();
        }
        self.gathered.suspects = self.suspects.clone();
        let mut runner = self.runner.take()?;
        let input = Box::new(self.take_input());
        let replies = std::mem::take(&mut self.replies);
        let may_announce = self.announced_at.is_none_or(|at| at.elapsed() >= ANNOUNCE_PAUSE);
        let announce_owed = self.announce_owed;
        Some(Box::pin(async move {
            let mut result = runner.run(&input).await;
            // The workers of another orchestrator may have the room, or the handlers, that ours do not.
            if let Ok(output) = &mut result
                && may_announce
                && (announce_owed || output.concerns_others)
            {
                output.announced = true;
                if let Err(error) = runner.store.announce().await {
                    tracing::debug!(%error, "failed to wake the other orchestrators; they look by themselves");
                }
            }
            (runner, input, replies, result)
        }))
    }

    /// Splits off what goes into this round; the rest stays gathered.
    fn take_input(&mut self) -> RoundInput {
        let outcomes_max = if self.isolating > 0 { 1 } else { self.options.outcomes_max };
        let mut input = std::mem::take(&mut self.gathered);
        if !input.completions_are_due() {
            self.gathered.completions = std::mem::take(&mut input.completions);
        }
        if input.outcomes.len() > outcomes_max {
            // Completions must not overtake the partial results that they close.
            self.gathered.outcomes = input.outcomes.split_off(outcomes_max);
            self.gathered.reporters = input.reporters.split_off(outcomes_max);
            self.gathered.completions.append(&mut input.completions);
        }
        self.isolating = self.isolating.saturating_sub(input.outcomes.len());
        input
    }

    /// Whether more may be gathered: beyond twice a round's worth, workers wait in their sockets.
    fn has_space(&self) -> bool {
        self.gathered.outcomes.len() < self.options.outcomes_max * 2
            && self.gathered.starts.len() < COMMANDS_MAX
    }

    /// When the pump must look by itself, at the latest: a retry time, or the end of a pause after a failure.
    fn wake_at(&self) -> Option<tokio::time::Instant> {
        let now = tokio::time::Instant::now();
        let due = self.next_ready_at.map(|at| now + at.since(self.clock.now()));
        match (due, self.not_before) {
            (_, Some(pause)) => Some(pause),
            (due, None) => due,
        }
    }

    fn timer_fired(&mut self) {
        if self.not_before.is_none() {
            self.next_ready_at = None;
            self.gathered.look.timers = true;
        }
        self.not_before = None;
    }
}

async fn sleep_until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
