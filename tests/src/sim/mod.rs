//! The simulator: the real orchestrators, workers and SQLite store in one thread with a clock of its own, and an adversary that
//! kills, freezes, cuts off and lies, all from one seed. The same seed always does the same.
//!
//! After every commit the books are checked: no step completes twice, no outcome is applied to another attempt, no worker
//! holds more than it has room for, every unfinished step has exactly one thing that will move it on. At the end, when the
//! faults have stopped, every task must settle, every worker must drain, and the database must agree with the books.

mod adversary;
mod books;
mod idle;
mod ledger;
mod port;
mod process;
mod round;
mod store;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stepwright_orchestrator::operator::{self, Deed};
use stepwright_orchestrator::{Orchestrator, OrchestratorOptions, pauses};
use stepwright_store::Store;
use stepwright_store_sqlite::SqliteStore;
use stepwright_transport::local::{self, LocalHub};
use stepwright_worker::{Worker, WorkerOptions};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Clock, Payload, Plan, PlanId, TaskId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use adversary::Sabotage;
pub use idle::idle_minute;

use adversary::Adversary;
use port::SimPort;
use process::Process;
use store::{SimStore, blocking};
use world::SimClock;

/// Things that the adversary does in one schedule.
const MOVES: usize = 40;
/// How long everything may take to settle once the faults have stopped.
const SETTLE: Duration = Duration::from_secs(180);
/// How long a worker may take to drain.
const DRAIN: Duration = Duration::from_secs(60);

/// How a schedule went.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was violated; empty if all is well.
    pub violations: Vec<String>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Tasks that were started.
    pub tasks: usize,
    /// Steps that finished well.
    pub steps: usize,
    /// What happened, line by line.
    pub story: Vec<String>,
    /// The same for the same story.
    pub fingerprint: u64,
}

/// Plays one schedule.
pub fn play(seed: u64, sabotage: Sabotage) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime for the simulation");
    runtime.block_on(async {
        let mut simulation = Simulation::new(seed, sabotage);
        simulation.attack().await;
        simulation.settle().await;
        simulation.stop().await;
        let (tasks, steps) = simulation.adversary.books(|books| (books.tasks.len(), books.finished.len()));
        let (violations, faults, story, fingerprint) = simulation.adversary.end();
        Report { seed, violations, faults, tasks, steps, story, fingerprint }
    })
}

struct Site {
    hub: LocalHub,
    process: Option<Process>,
    stop: CancellationToken,
}

struct Hand {
    site: usize,
    process: Option<Process>,
    drain: CancellationToken,
    partition: watch::Sender<bool>,
}

struct Simulation {
    seed: u64,
    adversary: Arc<Adversary>,
    faulty: Arc<dyn Store>,
    operator: Arc<dyn Store>,
    inner: Arc<SqliteStore>,
    plans: Vec<(Plan, PlanId)>,
    began: Instant,
    sites: Vec<Site>,
    hands: Vec<Hand>,
    starts: u64,
}

impl Simulation {
    fn new(seed: u64, sabotage: Sabotage) -> Self {
        let adversary = Arc::new(Adversary::new(seed, sabotage));
        let (faulty, operator, inner) = SimStore::pair(&adversary);
        let plans = world::plans().into_iter().map(|plan| {
            let id = blocking(inner.add_plan(&plan)).expect("the plan is stored");
            (plan, id)
        });
        let plans = plans.collect();
        let sites = 1 + adversary.below(2);
        let site = |_| Site { hub: local::hub().1, process: None, stop: CancellationToken::new() };
        let sites: Vec<Site> = (0..sites).map(site).collect();
        let hand = |number: usize| Hand {
            site: number % sites.len(),
            process: None,
            drain: CancellationToken::new(),
            partition: watch::Sender::new(false),
        };
        let hands = (0..3).map(hand).collect();
        let began = Instant::now();
        Self { seed, adversary, faulty, operator, inner, plans, began, sites, hands, starts: 0 }
    }

    fn clock(&self, skew: bool) -> Arc<dyn Clock> {
        let skew_ms = if skew { self.adversary.below(3_000) as i64 - 1_500 } else { 0 };
        Arc::new(SimClock { began: self.began, skew_ms })
    }

    fn start_orchestrator(&mut self, number: usize) {
        if self.sites[number].process.is_some() {
            return;
        }
        self.starts += 1;
        let name = format!("orchestrator-{number}-{}", self.starts);
        self.adversary.tell(|| format!("{name} starts"));
        let clock = self.clock(true);
        let site = &mut self.sites[number];
        site.stop = CancellationToken::new();
        let stop = site.stop.clone();
        let port = Box::new(site.hub.open());
        let adversary = self.adversary.clone();
        let random = Arc::new(move || adversary.below(usize::MAX) as u64);
        let options = OrchestratorOptions::new(name);
        let (orchestrator, _) = Orchestrator::new(options, self.faulty.clone(), port, clock, random);
        site.process = Some(Process::start(async move { format!("{:?}", orchestrator.run(stop).await) }));
    }

    fn start_worker(&mut self, number: usize) {
        if self.hands[number].process.is_some() {
            return;
        }
        self.starts += 1;
        let incarnation = format!("worker-{number}-{}", self.starts);
        self.adversary.tell(|| format!("{incarnation} starts"));
        let clock = self.clock(true);
        let executor = Arc::new(world::executor(self.seed, clock.clone(), self.adversary.clone()));
        let hub = self.sites[self.hands[number].site].hub.clone();
        let hand = &mut self.hands[number];
        hand.partition.send_replace(false);
        hand.drain = CancellationToken::new();
        let drain = hand.drain.clone();
        let port = SimPort::new(hub.connect(), self.adversary.clone(), hand.partition.subscribe());
        let mut options = WorkerOptions::new(format!("worker-{number}"), incarnation, 2);
        options.credit = books::CREDIT;
        let worker = Worker::new(Box::new(port), executor, clock, options);
        hand.process = Some(Process::start(async move {
            format!("{:?}", worker.run(drain, CancellationToken::new()).await)
        }));
    }

    async fn kill_orchestrator(&mut self, number: usize) {
        if let Some(process) = self.sites[number].process.take() {
            self.adversary.struck("orchestrator killed");
            process.kill().await;
        }
    }

    /// One move after the other, each at its moment. Orchestrators that crash meanwhile are started again a little later.
    async fn attack(&mut self) {
        (0..self.sites.len()).for_each(|number| self.start_orchestrator(number));
        (0..self.hands.len()).for_each(|number| self.start_worker(number));
        for _ in 0..MOVES {
            let pause = Duration::from_millis(self.adversary.below(900) as u64);
            tokio::select! {
                biased;
                () = self.adversary.crashed() => self.bury().await,
                () = sleep(pause) => self.next_move().await,
            }
            self.check_ends().await;
            if !self.adversary.is_content() {
                return;
            }
        }
    }

    /// Some orchestrator hangs at the point where it died. Which one cannot be told from outside, so all die.
    async fn bury(&mut self) {
        for number in 0..self.sites.len() {
            self.kill_orchestrator(number).await;
        }
    }

    async fn next_move(&mut self) {
        let adversary = self.adversary.clone();
        let site = adversary.below(self.sites.len());
        let hand = adversary.below(self.hands.len());
        match adversary.below(16) {
            0..=3 => self.start_tasks().await,
            4 => self.kill_orchestrator(site).await,
            5..=6 => (0..self.sites.len()).for_each(|number| self.start_orchestrator(number)),
            7 => {
                if let Some(process) = self.hands[hand].process.take() {
                    adversary.struck("worker killed");
                    process.kill().await;
                }
            }
            8 => self.start_worker(hand),
            9 => {
                adversary.struck("worker told to drain");
                self.hands[hand].drain.cancel();
            }
            10 => {
                if let Some(process) = &self.hands[hand].process {
                    adversary.struck("worker frozen");
                    process.freeze(true);
                }
            }
            11 => {
                if let Some(process) = &self.sites[site].process {
                    adversary.struck("orchestrator frozen");
                    process.freeze(true);
                }
            }
            12 => {
                adversary.struck("worker cut off");
                self.hands[hand].partition.send_replace(true);
            }
            13 => self.mend(),
            14 => sleep(Duration::from_millis(adversary.below(8_000) as u64)).await,
            _ => self.operate().await,
        }
    }

    /// What is frozen goes on, what is cut off is connected.
    fn mend(&self) {
        let processes = self.sites.iter().filter_map(|site| site.process.as_ref());
        let processes = processes.chain(self.hands.iter().filter_map(|hand| hand.process.as_ref()));
        processes.for_each(|process| process.freeze(false));
        for hand in &self.hands {
            hand.partition.send_replace(false);
        }
    }

    async fn start_tasks(&self) {
        let count = 1 + self.adversary.below(3);
        let new: Vec<_> = (0..count)
            .map(|_| {
                let (plan, id) = &self.plans[self.adversary.below(self.plans.len())];
                let key = self.adversary.one_in(3).then(|| format!("key-{}", self.adversary.below(4)));
                let mut task = world::task(plan, *id, key);
                let delay = Duration::from_millis(self.adversary.below(6_000) as u64);
                task.start_at = self.adversary.one_in(5).then(|| self.clock(false).now().after(delay));
                task
            })
            .collect();
        self.operator.create(&new, self.clock(false).now()).await.expect("the tasks are created");
    }

    /// An operator cancels, retries or resolves something.
    async fn operate(&self) {
        let tasks: Vec<TaskId> = self.adversary.books(|books| books.tasks.iter().copied().collect());
        if tasks.is_empty() {
            return;
        }
        let task = tasks[self.adversary.below(tasks.len())];
        let deed = Deed { who: "operator".to_owned(), why: String::new() };
        let (store, now) = (&*self.operator, self.clock(false).now());
        self.adversary.tell(|| format!("an operator turns to task {task}"));
        let step = format!("s{}", self.adversary.below(4));
        // What is refused for the state that it meets is as good as done.
        match self.adversary.below(6) {
            4 => {
                let targets = [PauseTarget::Task(task), PauseTarget::Namespace(world::NAMESPACE.to_owned())];
                let target = &targets[self.adversary.below(2)];
                drop(pauses::pause(store, target, &deed, now).await);
            }
            5 => self.resume_all().await,
            0 => drop(operator::cancel_task(store, task, &deed, now).await),
            1 => drop(operator::retry_step(store, task, None, &deed, now).await),
            2 => drop(operator::skip_step(store, task, &step, &deed, now).await),
            _ => {
                let output = Payload::parse("{\"by\":\"hand\"}").expect("valid JSON");
                drop(operator::resolve_step(store, (task, &step), output, &deed, now).await);
            }
        }
    }

    /// Whatever is paused goes on.
    async fn resume_all(&self) {
        let deed = Deed { who: "operator".to_owned(), why: String::new() };
        for pause in self.operator.pauses().await.expect("the pauses are read") {
            let resumed =
                pauses::resume(&*self.operator, &pause.target, &deed, self.clock(false).now()).await;
            assert!(resumed.expect("the database answers an operator"), "it was paused");
        }
    }

    /// A process may end when it was told to, or because its host is broken; never otherwise.
    async fn check_ends(&mut self) {
        for site in &mut self.sites {
            if let Some(said) = site.process.as_mut().and_then(Process::ended) {
                self.adversary.violated(format!("an orchestrator ended by itself: {said}"));
                site.process = None;
            }
        }
        for hand in &mut self.hands {
            if let Some(said) = hand.process.as_mut().and_then(Process::ended) {
                self.adversary.tell(|| format!("a worker ended: {said}"));
                let expected = hand.drain.is_cancelled() || said.contains("HostBroken");
                if said.contains("panicked") || !expected {
                    self.adversary.violated(format!("a worker ended by itself: {said}"));
                }
                hand.process = None;
            }
        }
    }

    /// The faults stop, everything is started that does not run; then every task must settle.
    async fn settle(&mut self) {
        self.adversary.disarm();
        self.mend();
        let until = Instant::now() + SETTLE;
        // An orchestrator that died at the last moment hangs; it shows itself by its crash.
        while Instant::now() < until && self.adversary.is_content() {
            (0..self.sites.len()).for_each(|number| self.start_orchestrator(number));
            (0..self.hands.len()).for_each(|number| self.start_worker(number));
            self.resume_all().await;
            tokio::select! {
                biased;
                () = self.adversary.crashed() => self.bury().await,
                () = sleep(Duration::from_secs(1)) => {}
            }
            self.check_ends().await;
            if self.is_settled() {
                break;
            }
        }
        if self.adversary.is_content() {
            let kept = self.adversary.books(books::Books::clone);
            for what in blocking(books::close(&self.inner, &kept)) {
                self.adversary.violated(what);
            }
        }
    }

    fn is_settled(&self) -> bool {
        let tasks: Vec<TaskId> = self.adversary.books(|books| books.tasks.iter().copied().collect());
        let states = blocking(self.inner.task_states(&tasks)).expect("the states are read");
        states.len() == tasks.len() && states.iter().all(|(_, state)| state.is_settled())
    }

    /// Workers drain and orchestrators stop, each in its time.
    async fn stop(&mut self) {
        for hand in &mut self.hands {
            hand.drain.cancel();
            let Some(process) = hand.process.take() else { continue };
            match tokio::time::timeout(DRAIN, process.end()).await {
                Ok(said) if said.contains("panicked") => self.adversary.violated(said),
                Ok(_) => {}
                Err(_) => self.adversary.violated("a worker did not drain".to_owned()),
            }
        }
        for site in &mut self.sites {
            site.stop.cancel();
            let Some(process) = site.process.take() else { continue };
            match tokio::time::timeout(DRAIN, process.end()).await {
                Ok(said) if said.contains("panicked") => self.adversary.violated(said),
                Ok(_) => {}
                Err(_) => self.adversary.violated("an orchestrator did not stop".to_owned()),
            }
        }
    }
}
