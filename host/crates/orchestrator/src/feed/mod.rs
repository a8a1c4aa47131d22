//! Everything that happens, for whoever follows along: streams of the API, and webhooks.
//!
//! ```text
//!   a round commits ─▶ nudge ─▶ whoever waits ─▶ the last rows, read and named once for all ─▶ filter ─▶ the follower
//!                                    └─ far behind, or asked for one task ─▶ the store
//! ```
//!
//! Followers that are at the present share what is read: a row costs one read and one look for names, however many follow. Nothing
//! is read while nobody does.

mod event;
mod name;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepwright_store::{EventBounds, EventPage, EventRow, Happening, Store, StoreError};
use stepwright_workflow::{Plan, PlanId, TaskId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

pub use event::{BadPosition, Event, More, Position};
pub use name::EventName;

/// Rows read at once: a round of a busy pump has some hundred events.
const ROWS_MAX: u32 = 64;
/// Events of the last rows that are kept for everybody; some ten megabytes.
const KEPT_MAX: usize = 20_000;
/// Tasks whose plans are remembered.
const TASKS_MAX: usize = 65_536;
/// Plans that are remembered.
const PLANS_MAX: usize = 1_024;
/// What others committed is found after so long, at the latest.
const LOOK: Duration = Duration::from_secs(1);
/// How long transactions are waited for that are about to end.
const WITHHELD: Duration = Duration::from_millis(5);
/// How far apart the clocks of those that write may be, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// Why there are no events to be had.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Events beyond that position were removed by now.
    #[error("events from position {asked} on are not kept any more; the oldest follow position {oldest}")]
    Expired {
        /// What was asked for.
        asked: Position,
        /// The last position from which on nothing is missing.
        oldest: Position,
    },
    /// There is no event at that position, nor was there ever.
    #[error("there is no position {0} yet; was it an event of another database?")]
    Unknown(Position),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which events are wanted. Everything, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Only those about this task.
    pub task: Option<TaskId>,
    /// Only those about tasks and templates of this namespace.
    pub namespace: Option<String>,
    /// Only those about tasks of this template, or about it.
    pub template: Option<String>,
    /// Only these; empty for all.
    pub names: Vec<EventName>,
}

impl EventFilter {
    /// Names from a list such as `task.completed,step.*`.
    pub fn names(text: &str) -> Result<Vec<EventName>, String> {
        let mut names = Vec::new();
        for wanted in text.split(',') {
            let matches = |name: &EventName| match wanted.strip_suffix(".*") {
                Some(subject) => name.subject() == subject,
                None => name.as_str() == wanted,
            };
            let before = names.len();
            names.extend(EventName::ALL.iter().map(|(name, _)| *name).filter(matches));
            if names.len() == before {
                return Err(format!(
                    "'{wanted}' is no event; they are named like task.completed, and step.* is all of steps"
                ));
            }
        }
        Ok(names)
    }

    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let same = |wanted: &Option<String>, found: &Option<Arc<str>>| {
            wanted.as_ref().is_none_or(|wanted| found.as_deref() == Some(wanted))
        };
        self.task.is_none_or(|task| event.task == Some(task))
            && (self.names.is_empty() || self.names.contains(&event.event))
            && same(&self.namespace, &event.namespace)
            && same(&self.template, &event.template)
    }
}

/// From where on events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What happens from now on.
    Now,
    /// Everything after a position.
    After(Position),
}

/// A row with its events.
#[derive(Debug)]
struct Told {
    row: i64,
    events: Vec<Event>,
}

/// The last rows, without a gap.
#[derive(Debug, Default)]
struct Recent {
    /// They are all rows beyond this one, as far as they were read.
    from: i64,
    rows: VecDeque<Arc<Told>>,
    events: usize,
    /// There was nothing beyond them then, and after so many nudges.
    empty: Option<(u64, Instant)>,
}

impl Recent {
    fn beyond(row: i64) -> Self {
        Self { from: row, ..Self::default() }
    }

    fn last(&self) -> i64 {
        self.rows.back().map_or(self.from, |told| told.row)
    }

    fn push(&mut self, told: Arc<Told>) {
        self.events += told.events.len();
        self.rows.push_back(told);
        while self.events > KEPT_MAX
            && let Some(oldest) = self.rows.pop_front()
        {
            self.events -= oldest.events.len();
            self.from = oldest.row;
        }
    }

    fn after(&self, row: i64) -> Vec<Arc<Told>> {
        let at = self.rows.partition_point(|told| told.row <= row);
        self.rows.range(at..).take(ROWS_MAX as usize).cloned().collect()
    }
}

/// What rows are about, as far as it is known.
#[derive(Debug, Default)]
struct Known {
    tasks: HashMap<TaskId, PlanId>,
    plans: HashMap<PlanId, Arc<Plan>>,
}

/// The events of a store. Share it: followers that share it share what they read.
pub struct Feed {
    store: Arc<dyn Store>,
    nudges: watch::Sender<u64>,
    recent: tokio::sync::Mutex<Option<Recent>>,
    known: Mutex<Known>,
}

impl Feed {
    /// A feed of this store.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let nudges = watch::Sender::new(0);
        Arc::new(Self { store, nudges, recent: tokio::sync::Mutex::default(), known: Mutex::default() })
    }

    /// There may be something new.
    pub fn nudge(&self) {
        self.nudges.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Follows along from a moment on.
    pub async fn follow(self: &Arc<Self>, from: From, filter: EventFilter) -> Result<Follower, FeedError> {
        let nudges = self.nudges.subscribe();
        let bounds = self.store.event_bounds().await?;
        let position = match (from, filter.task) {
            (From::Now, None) => Position::after_row(bounds.newest),
            (From::Now, Some(_)) => Position::START,
            (From::After(position), _) => position,
        };
        bounds_hold(position, bounds)?;
        // What was told lies before the last row, which is never removed.
        if position.row > bounds.newest && self.store.event_row(position.row).await?.is_none() {
            return Err(FeedError::Unknown(position));
        }
        let position = match filter.task {
            Some(task) => position.max(self.beginning(task, bounds.oldest, bounds.newest).await?),
            None => position,
        };
        Ok(Follower { feed: self.clone(), filter, position, nudges })
    }

    /// A position before everything that is about a task, and not far before it.
    async fn beginning(&self, task: TaskId, oldest: i64, newest: i64) -> Result<Position, FeedError> {
        let Some(record) = self.store.task(task).await? else { return Ok(Position::START) };
        let moment = Timestamp(record.summary.created_at.0 - SKEW_MS);
        // The first row that is not older; rows are written in the order of time, but for the skew of clocks.
        let (mut low, mut high) = (oldest, newest);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.store.event_row(middle).await? {
                Some((row, at)) if at < moment => low = row + 1,
                _ => high = middle,
            }
        }
        Ok(Position::after_row((low - 1).max(0)))
    }

    /// Rows beyond one, named, and where they end; and whether more are about to come.
    async fn rows(&self, after: i64, task: Option<TaskId>) -> Result<(Vec<Arc<Told>>, i64, bool), FeedError> {
        let mut recent = self.recent.lock().await;
        let behind = recent.as_ref().is_some_and(|recent| after < recent.from);
        let at_the_present = recent.as_ref().is_some_and(|recent| after == recent.last());
        if let Some(recent) = recent.as_ref().filter(|recent| !behind && after < recent.last()) {
            let rows = recent.after(after);
            let end = rows.last().map_or(after, |told| told.row);
            return Ok((rows, end, false));
        }
        let count = *self.nudges.borrow();
        let nothing_new =
            |recent: &Recent| recent.empty.is_some_and(|(then, at)| then == count && at.elapsed() < LOOK);
        if at_the_present && recent.as_ref().is_some_and(nothing_new) {
            return Ok((Vec::new(), after, false));
        }
        if at_the_present || task.is_none() && !behind {
            let page = self.store.events(after, None, ROWS_MAX).await?;
            let (told, withheld) = self.named(page).await?;
            let shared = recent.take().filter(|_| at_the_present);
            let shared = recent.insert(shared.unwrap_or_else(|| Recent::beyond(after)));
            shared.empty = (told.is_empty() && !withheld).then(|| (count, Instant::now()));
            told.iter().for_each(|told| shared.push(told.clone()));
            let end = told.last().map_or(after, |told| told.row);
            return Ok((told, end, withheld));
        }
        drop(recent);
        // What is committed by now is seen by the look that follows.
        let bounds = self.store.event_bounds().await?;
        bounds_hold(Position::after_row(after), bounds)?;
        let newest = bounds.newest;
        let page = self.store.events(after, task, ROWS_MAX).await?;
        let last = page.rows.last().map_or(after, |row| row.id);
        let is_whole = page.rows.len() < ROWS_MAX as usize && !page.withheld;
        let end = if is_whole { last.max(newest) } else { last };
        let (told, withheld) = self.named(page).await?;
        if end > last {
            let mut recent = self.recent.lock().await;
            if recent.as_ref().is_none_or(|recent| recent.last() < end) {
                *recent = Some(Recent::beyond(end));
            }
        }
        Ok((told, end, withheld))
    }

    async fn named(&self, page: EventPage) -> Result<(Vec<Arc<Told>>, bool), FeedError> {
        let mut told = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let plans = self.plans(row).await?;
            told.push(Arc::new(Told { row: row.id, events: event::tell(row, &plans) }));
        }
        Ok((told, page.withheld))
    }

    /// What the tasks of a row run. Plans never change, and tasks keep theirs. What is remembered only saves looking.
    async fn plans(&self, row: &EventRow) -> Result<event::Plans, FeedError> {
        let tasks = event::tasks(row);
        let mut of: HashMap<TaskId, PlanId> = {
            let known = self.known();
            tasks.iter().filter_map(|task| Some((*task, *known.tasks.get(task)?))).collect()
        };
        // A task's first row says what it runs.
        for happening in &row.content {
            if let Happening::Initialized(new) = happening {
                new.iter().for_each(|(task, plan)| self.known().note(*task, *plan));
                of.extend(new.iter().copied());
            }
        }
        let unknown: Vec<TaskId> = tasks.into_iter().filter(|task| !of.contains_key(task)).collect();
        if !unknown.is_empty() {
            let found = self.store.plans_of(&unknown).await?;
            found.iter().for_each(|(task, plan)| self.known().note(*task, *plan));
            of.extend(found);
        }
        let mut plans: HashMap<PlanId, Arc<Plan>> = HashMap::new();
        for id in of.values() {
            if plans.contains_key(id) {
                continue;
            }
            let remembered = self.known().plans.get(id).cloned();
            let plan = match remembered {
                Some(plan) => Some(plan),
                None => self.store.plan(*id).await?.map(Arc::new),
            };
            if let Some(plan) = plan {
                self.known().remember(*id, plan.clone());
                plans.insert(*id, plan);
            }
        }
        Ok(of.into_iter().filter_map(|(task, id)| Some((task, plans.get(&id)?.clone()))).collect())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn note(&mut self, task: TaskId, plan: PlanId) {
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.clear();
        }
        self.tasks.insert(task, plan);
    }

    fn remember(&mut self, id: PlanId, plan: Arc<Plan>) {
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(id, plan);
    }
}

/// Nothing behind a position may be missing.
fn bounds_hold(position: Position, bounds: EventBounds) -> Result<(), FeedError> {
    if position.row == 0 || position.needed() >= bounds.oldest {
        return Ok(());
    }
    Err(FeedError::Expired { asked: position, oldest: Position::after_row(bounds.oldest - 1) })
}

/// Somebody who follows along.
pub struct Follower {
    feed: Arc<Feed>,
    filter: EventFilter,
    position: Position,
    nudges: watch::Receiver<u64>,
}

impl Follower {
    /// What happened since the last call and is wanted, in order, as soon as there is anything. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Event>, FeedError> {
        let mut patience = WITHHELD;
        loop {
            self.nudges.borrow_and_update();
            let (events, withheld) = self.look().await?;
            match events {
                Some(events) if !events.is_empty() => return Ok(events),
                // More may follow at once.
                Some(_) => {}
                None if withheld => {
                    tokio::time::sleep(patience).await;
                    patience = (patience * 2).min(LOOK);
                }
                None => {
                    // Whoever would nudge is gone: the look is left.
                    let _ = tokio::time::timeout(LOOK, self.nudges.changed()).await;
                }
            }
        }
    }

    /// What there is now and is wanted; `None` where there is nothing new at all.
    async fn look(&mut self) -> Result<(Option<Vec<Event>>, bool), FeedError> {
        // Of the row where it stands, there may be events left.
        let after = self.position.needed() - 1;
        let (rows, end, withheld) = self.feed.rows(after, self.filter.task).await?;
        let wanted = |event: &&Event| event.position > self.position && self.filter.wants(event);
        let events: Vec<Event> = rows.iter().flat_map(|told| &told.events).filter(wanted).cloned().collect();
        let moved = end > after;
        self.position = self.position.max(Position::after_row(end));
        Ok((moved.then_some(events), withheld))
    }

    /// Everything up to here was told, or is not wanted.
    pub fn position(&self) -> Position {
        self.position
    }
}
