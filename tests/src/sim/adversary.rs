//! What goes wrong, and when: seeded, counted and written down.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepwright_orchestrator::audit::Auditor;
use stepwright_store_sqlite::SqliteStore;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::books::{Books, Deed};
use super::store::blocking;
use crate::rig::Chaos;

/// A defect put in on purpose, to see that the simulator finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// The build as it is.
    #[default]
    None,
    /// An outcome `completed` is applied whatever attempt and batch it belongs to.
    NoFence,
    /// A commit in twenty says that it is durable and is not.
    CommitLies,
}

struct State {
    chaos: Chaos,
    armed: bool,
    struck: BTreeMap<&'static str, u64>,
    books: Books,
    story: Vec<String>,
    fingerprint: DefaultHasher,
}

/// Decides every fault of one schedule, and keeps the books that it is checked against.
pub(super) struct Adversary {
    state: Mutex<State>,
    auditor: Mutex<Auditor>,
    began: Instant,
    sabotage: Sabotage,
    crash: Notify,
}

impl Adversary {
    pub(super) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let state = State {
            chaos: Chaos::new(seed),
            armed: true,
            struck: BTreeMap::new(),
            books: Books::default(),
            story: Vec::new(),
            fingerprint: DefaultHasher::new(),
        };
        Self {
            state: Mutex::new(state),
            auditor: Mutex::default(),
            began: Instant::now(),
            sabotage,
            crash: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sabotage(&self) -> Sabotage {
        self.sabotage
    }

    /// A number in `0..end`.
    pub(super) fn below(&self, end: usize) -> usize {
        self.state().chaos.below(end)
    }

    /// True once in `n` times.
    pub(super) fn one_in(&self, n: usize) -> bool {
        self.state().chaos.one_in(n)
    }

    /// True once in `n` times while the faults go on; then it is counted.
    pub(super) fn strikes(&self, fault: &'static str, n: usize) -> bool {
        let strikes = {
            let mut state = self.state();
            state.armed && state.chaos.one_in(n)
        };
        if strikes {
            self.struck(fault);
        }
        strikes
    }

    /// Counts a fault that was done.
    pub(super) fn struck(&self, fault: &'static str) {
        *self.state().struck.entry(fault).or_default() += 1;
        self.tell(|| fault.to_owned());
    }

    /// How long the database takes this time: mostly little, sometimes longer than a lease.
    pub(super) fn latency(&self) -> Duration {
        let mut state = self.state();
        let slow = state.armed && state.chaos.one_in(150);
        Duration::from_millis(if slow { 7_000 } else { state.chaos.below(15) as u64 })
    }

    /// The process that calls this dies here: nothing of it runs any more.
    pub(super) async fn crash(&self) {
        self.crash.notify_one();
        std::future::pending::<()>().await;
    }

    /// A process has died.
    pub(super) async fn crashed(&self) {
        self.crash.notified().await;
    }

    /// No faults from here on.
    pub(super) fn disarm(&self) {
        self.state().armed = false;
        self.tell(|| "the faults stop".to_owned());
    }

    /// Writes a line of the story.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let at = self.began.elapsed().as_millis();
        let line = format!("{at:>7} ms  {}", line());
        let mut state = self.state();
        line.hash(&mut state.fingerprint);
        state.story.push(line);
    }

    /// Something is wrong with what is tested.
    pub(super) fn violated(&self, what: String) {
        self.tell(|| format!("VIOLATED: {what}"));
        self.state().books.violations.push(what);
    }

    /// A transaction is durable: its deeds go into the books, and everything is checked. `told`: whoever committed it will
    /// know.
    pub(super) fn committed(&self, store: &SqliteStore, deeds: Vec<Deed>, told: bool) {
        for deed in &deeds {
            self.tell(|| deed.to_string());
        }
        let mut found = self.state().books.enter(deeds, told);
        let mut auditor = self.auditor.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(blocking(super::books::look(&mut auditor, store)));
        drop(auditor);
        for what in found {
            self.violated(what);
        }
    }

    /// Reads the books.
    pub(super) fn books<T>(&self, read: impl FnOnce(&Books) -> T) -> T {
        read(&self.state().books)
    }

    /// Whether nothing has been found yet.
    pub(super) fn is_content(&self) -> bool {
        self.state().books.violations.is_empty()
    }

    /// What was found, what was done, what happened, and its fingerprint.
    pub(super) fn end(&self) -> (Vec<String>, BTreeMap<&'static str, u64>, Vec<String>, u64) {
        let mut state = self.state();
        let story = std::mem::take(&mut state.story);
        (std::mem::take(&mut state.books.violations), state.struck.clone(), story, state.fingerprint.finish())
    }
}
