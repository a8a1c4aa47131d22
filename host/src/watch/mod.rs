//! Looks at tasks until they are settled, and shows or tells what changes.
//!
//! The database is asked, not the orchestrator: watching works whoever runs the tasks, and goes on when that one restarts.

mod changes;
mod live;
#[cfg(test)]
pub(crate) mod samples;
mod tally;
mod tree;

use std::time::Duration;

use stepwright_store::{Store, StoreError, TaskRecord};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Clock, TaskId};
use tokio::time::{Instant, sleep};

use crate::error::CliError;
use crate::output;
use crate::output::paint::Paint;
use changes::Told;
use live::Live;
use tally::{CountsLine, Tally};

pub(crate) use stepwright_workflow::insight::one_line;
pub(crate) use tally::Counts;
pub(crate) use tree::Tree;

/// Between two looks, at least: a person sees no shorter change.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Between two looks, at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a database may be away before watching is given up, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE_AWAY: Duration = Duration::from_millis(500);
/// A look may take one part in so many of the time, so that watching never slows down what is watched.
const LOOK_SHARE: u32 = 20;
/// Between two lines about many tasks, at least one part in so many of the time so far: close at first, and no flood later.
const LINE_SHARE: u32 = 10;

/// What is shown while the tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Nothing: only wait.
    Nothing,
    /// A live view on a terminal, a line for each change elsewhere.
    Changes,
    /// A JSON line for each change.
    Json,
}

/// How to watch.
pub(crate) struct Watch<'a> {
    /// Where the tasks are.
    pub(crate) store: &'a dyn Store,
    /// For durations.
    pub(crate) clock: &'a dyn Clock,
    /// What is shown.
    pub(crate) show: Show,
    /// How long to wait; `None` means for ever.
    pub(crate) timeout: Option<Duration>,
}

/// How the watched tasks stand at the end.
#[derive(Debug)]
pub(crate) struct Watched(Tally);

impl Watched {
    /// Where a task stands; `None` if it does not exist.
    pub(crate) fn state(&self, task: TaskId) -> Option<TaskState> {
        self.0.state(task)
    }

    /// How many stand where.
    pub(crate) fn counts(&self) -> Counts {
        self.0.line().counts
    }

    /// How many were not settled in time.
    pub(crate) fn open(&self) -> usize {
        self.0.open().len()
    }

    /// Some were not settled in time.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.open() > 0
    }

    /// As if it had been seen.
    #[cfg(test)]
    pub(crate) fn of(tasks: &[TaskId], seen: &[(TaskId, TaskState)]) -> Self {
        let mut tally = Tally::of(tasks);
        tally.see(seen);
        Self(tally)
    }
}

impl Watch<'_> {
    /// Watches tasks until all are settled or the time is up.
    pub(crate) async fn run(&self, tasks: &[TaskId]) -> Result<Watched, CliError> {
        let mut tally = Tally::of(tasks);
        match (self.show, tasks) {
            (Show::Nothing, _) => self.wait(&mut tally).await?,
            (Show::Changes, [task]) if live::is_possible() => self.live(*task, &mut tally).await?,
            (_, [task]) => self.tell(*task, &mut tally).await?,
            (Show::Changes, _) if live::is_possible() => self.live_counts(&mut tally).await?,
            _ => self.tell_counts(&mut tally).await?,
        }
        Ok(Watched(tally))
    }

    async fn wait(&self, tally: &mut Tally) -> Result<(), CliError> {
        let mut pace = Pace::start(self.timeout);
        while self.look(tally).await? && pace.pause().await {}
        Ok(())
    }

    async fn live(&self, task: TaskId, tally: &mut Tally) -> Result<(), CliError> {
        let (mut pace, mut live, paint) = (Pace::start(self.timeout), Live::start(), Paint::stdout());
        let mut tree = None;
        loop {
            let record = self.record(task).await?;
            tally.see(&[(task, record.summary.state)]);
            let tree = tree.get_or_insert_with(|| Tree::of(&record.steps_detail));
            let lines = tree.lines(&record, self.clock.now(), paint);
            let done = (u64::from(record.summary.steps_finished), u64::from(record.summary.steps));
            if let Some((heading, rows)) = lines.split_first() {
                live.draw(heading, done, rows);
            }
            if record.summary.state.is_settled() || !pace.pause().await {
                live.finish();
                return output::line(lines.join("\n"));
            }
        }
    }

    async fn tell(&self, task: TaskId, tally: &mut Tally) -> Result<(), CliError> {
        let (mut pace, mut told) = (Pace::start(self.timeout), Told::default());
        loop {
            let record = self.record(task).await?;
            tally.see(&[(task, record.summary.state)]);
            for change in told.news(&record, self.clock.now()) {
                match self.show {
                    Show::Json => output::json(&change)?,
                    _ => output::line(&change)?,
                }
            }
            if record.summary.state.is_settled() || !pace.pause().await {
                return Ok(());
            }
        }
    }

    async fn live_counts(&self, tally: &mut Tally) -> Result<(), CliError> {
        let (mut pace, mut live) = (Pace::start(self.timeout), Live::start());
        loop {
            let open = self.look(tally).await?;
            let line = tally.line();
            live.draw(&line.to_string(), (line.settled, line.tasks), &[]);
            if !open || !pace.pause().await {
                live.finish();
                return output::line(&line);
            }
        }
    }

    async fn tell_counts(&self, tally: &mut Tally) -> Result<(), CliError> {
        let (mut pace, began) = (Pace::start(self.timeout), Instant::now());
        let mut told: Option<(Counts, Instant)> = None;
        loop {
            let open = self.look(tally).await?;
            let line = tally.line();
            let is_news = told.as_ref().is_none_or(|(counts, _)| *counts != line.counts);
            let is_due = told.as_ref().is_none_or(|(_, at)| at.elapsed() >= began.elapsed() / LINE_SHARE);
            if is_news && (is_due || !open) {
                self.tell_line(&line)?;
                told = Some((line.counts, Instant::now()));
            }
            if !open || !pace.pause().await {
                return Ok(());
            }
        }
    }

    fn tell_line(&self, line: &CountsLine) -> Result<(), CliError> {
        match self.show {
            Show::Json => output::json(line),
            _ => output::line(line),
        }
    }

    /// Looks at what is not settled yet, and says whether something still is not.
    async fn look(&self, tally: &mut Tally) -> Result<bool, StoreError> {
        let open = tally.open();
        tally.see(&patiently(|| self.store.task_states(&open)).await?);
        Ok(!tally.open().is_empty())
    }

    async fn record(&self, task: TaskId) -> Result<TaskRecord, StoreError> {
        let missing = || StoreError::NotFound { subject: format!("task {task}") };
        patiently(|| self.store.task(task)).await?.ok_or_else(missing)
    }
}

/// Reads again while the database is away: whoever watches need not know that it was started anew.
async fn patiently<T, R: Future<Output = Result<T, StoreError>>>(
    read: impl Fn() -> R,
) -> Result<T, StoreError> {
    let mut away_since = None;
    loop {
        match read().await {
            Err(error) if error.is_passing() => {
                let since = *away_since.get_or_insert_with(|| {
                    output::hint(format_args!("{error}; waiting for it to pass"));
                    Instant::now()
                });
                if since.elapsed() >= PATIENCE {
                    return Err(error);
                }
                sleep(PAUSE_AWAY).await;
            }
            result => return result,
        }
    }
}

/// When to look again.
struct Pace {
    until: Option<Instant>,
    looked_at: Instant,
}

impl Pace {
    fn start(timeout: Option<Duration>) -> Self {
        let now = Instant::now();
        Self { until: timeout.and_then(|timeout| now.checked_add(timeout)), looked_at: now }
    }

    /// Waits for the next look; false if the time is up.
    async fn pause(&mut self) -> bool {
        let now = Instant::now();
        let pause = ((now - self.looked_at) * LOOK_SHARE).clamp(PAUSE_MIN, PAUSE_MAX);
        let left = self.until.map(|until| until.saturating_duration_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            return false;
        }
        sleep(left.map_or(pause, |left| left.min(pause))).await;
        self.looked_at = Instant::now();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_orchestrator::operator::{Deed, resolve_task};
    use stepwright_store::NewTask;
    use stepwright_store_sqlite::SqliteStore;
    use stepwright_workflow::{Payload, Plan, Timestamp};

    use crate::clock::SystemClock;

    /// A store with two tasks without steps, the second of which is settled.
    async fn store() -> SqliteStore {
        let store = SqliteStore::in_memory().await.unwrap();
        let plan = Plan {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: "1.0.0".to_owned(),
            environment: "development".to_owned(),
            input_schema: None,
            steps: Vec::new(),
        };
        let task = NewTask {
            plan: store.add_plan(&plan).await.unwrap(),
            namespace: plan.namespace,
            template: plan.name,
            parents: [].into(),
            external: std::sync::Arc::default(),
            context: Payload::null(),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        };
        store.create(&[task.clone(), task], Timestamp(0)).await.unwrap();
        let deed = Deed { who: "ann".to_owned(), why: String::new() };
        resolve_task(&store, TaskId(2), &deed, Timestamp(1)).await.unwrap();
        store
    }

    #[tokio::test]
    async fn watching_ends_when_all_is_settled_or_the_time_is_up() {
        let store = store().await;
        let watch = |timeout| Watch { store: &store, clock: &SystemClock, show: Show::Nothing, timeout };
        let settled = watch(None).run(&[TaskId(2)]).await.unwrap();
        assert_eq!((settled.state(TaskId(2)), settled.open()), (Some(TaskState::ResolvedManually), 0));
        let both = watch(Some(Duration::from_millis(1))).run(&[TaskId(1), TaskId(2)]).await.unwrap();
        assert_eq!((both.state(TaskId(1)), both.open()), (Some(TaskState::Pending), 1));
        assert_eq!(both.counts(), Counts::from([(TaskState::Pending, 1), (TaskState::ResolvedManually, 1)]));
    }

    #[tokio::test]
    async fn a_task_that_is_not_there_is_an_error_where_it_is_shown() {
        let store = store().await;
        let watch = Watch { store: &store, clock: &SystemClock, show: Show::Json, timeout: None };
        let error = format!("{:?}", watch.run(&[TaskId(9)]).await.unwrap_err());
        assert!(error.contains("there is no task 9"), "{error}");
    }
}
