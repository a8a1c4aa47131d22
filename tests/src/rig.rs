//! An orchestrator over a database in memory and the in-process transport, with a worker that a test drives: it ends
//! attempts as scripted, in random order, and tells some outcomes twice or too late.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use stepwright_orchestrator::{Orchestrator, OrchestratorHandle, OrchestratorOptions};
use stepwright_store::{NewTask, Store};
use stepwright_store_sqlite::SqliteStore;
use stepwright_transport::local::{self, LocalWorkerPort};
use stepwright_transport::port::{WorkerEvent, WorkerPort};
use stepwright_transport::wire::{
    Batch, BatchCompletion, FromWorker, Hello, Offer, OrchestratorHeartbeat, OutcomeStatus, PartialResult,
    Receipt, Serves, StepOutcome, StepSummary, StepTask, ToWorker, WorkerHeartbeat,
};
use stepwright_workflow::batch::BatchLimits;
use stepwright_workflow::retry::{Backoff, RetryPolicy};
use stepwright_workflow::{
    BatchId, Clock, Digest, Failure, FailureClass, Outcome, Payload, Plan, PlanStep, StepId, StepLimits,
    TaskId, Timestamp,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::{Ending, Script};

/// A seeded source of choices (splitmix64).
#[derive(Debug, Clone)]
pub struct Chaos(u64);

impl Chaos {
    /// The same seed makes the same choices.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The machine's clock, for tests.
#[derive(Debug, Clone, Copy)]
pub struct TestClock;

impl Clock for TestClock {
    #[allow(clippy::disallowed_methods, reason = "the harness owns the clock of the tests")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// See the module.
pub struct Rig {
    /// The store in memory.
    pub store: Arc<dyn Store>,
    /// The running orchestrator.
    pub handle: OrchestratorHandle,
    port: LocalWorkerPort,
    chaos: Chaos,
    stop: CancellationToken,
    running: JoinHandle<()>,
    held: HashMap<BatchId, StepTask>,
    latest: Option<BatchId>,
    told: Vec<(BatchId, StepOutcome)>,
    /// Outcomes of vanished attempts: late only once the next attempt is out.
    vanished: HashMap<StepId, (BatchId, StepOutcome)>,
    /// Offers by number with their credit, from the one that counts on: whatever comes must fit into one of them.
    offers: BTreeMap<u64, usize>,
}

/// Steps that the worker is willing to hold at first.
const CREDIT: u32 = 64;

impl Rig {
    /// An orchestrator without any task, and a worker that was welcomed. Every step travels alone.
    #[allow(clippy::disallowed_methods, reason = "the rig joins its only task when it stops")]
    pub async fn start(chaos: Chaos) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::in_memory().await.expect("a database in memory opens"));
        let mut options = OrchestratorOptions::new("test");
        // This worker speaks when the script wants it to; on a busy machine it must not be taken for dead.
        (options.heartbeat_ms, options.lease_ms) = (60_000, 600_000);
        options.batch = BatchLimits { steps_max: 1, bytes_max: 1 << 20 };
        let (port, hub) = local::hub();
        let clock = Arc::new(TestClock);
        let random = Arc::new(|| 0);
        let (orchestrator, handle) = Orchestrator::new(options, store.clone(), Box::new(port), clock, random);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running =
            tokio::spawn(async move { orchestrator.run(stopped).await.expect("the orchestrator runs on") });
        let port = hub.connect();
        let mut rig = Self {
            store,
            handle,
            port,
            chaos,
            stop,
            running,
            held: HashMap::new(),
            latest: None,
            told: Vec::new(),
            vanished: HashMap::new(),
            offers: BTreeMap::from([(0, CREDIT as usize)]),
        };
        rig.join().await;
        rig
    }

    async fn join(&mut self) {
        loop {
            match self.port.recv().await.expect("the port is open") {
                WorkerEvent::Connected => self.send(FromWorker::Hello(hello())),
                WorkerEvent::Message(ToWorker::Welcome(_)) => return,
                _ => {}
            }
        }
    }

    /// Runs one task to its end, as scripted.
    pub async fn play(&mut self, script: &Script) -> TaskId {
        let plan = plan(script);
        let id = self.store.add_plan(&plan).await.expect("the plan is stored");
        let task = NewTask {
            plan: id,
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            parents: script.parents.iter().map(|parents| u32::try_from(parents.len()).unwrap_or(0)).collect(),
            external: Arc::default(),
            context: Payload::parse("{\"seed\":1}").expect("valid JSON"),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        };
        let created = self.handle.start(vec![task]).await.expect("the task is created");
        let task = created[0].task;
        let handle = self.handle.clone();
        let mut settled = std::pin::pin!(async move { handle.settled(task).await });
        loop {
            let idle = self.held.is_empty();
            tokio::select! {
                biased;
                event = self.port.recv() => self.take(event.expect("the port is open"), script),
                state = &mut settled, if idle => {
                    state.expect("the orchestrator answers");
                    return task;
                }
                () = std::future::ready(()), if !idle => self.end_one(script),
            }
        }
    }

    fn take(&mut self, event: WorkerEvent, script: &Script) {
        match event {
            WorkerEvent::Message(ToWorker::Batch(Batch { batch, mut steps, .. })) => {
                let step = steps.remove(0);
                check_parents(&step, script);
                self.told.extend(self.vanished.remove(&step.step));
                self.latest = self.latest.max(Some(batch));
                self.held.insert(batch, step);
                let room = self.offers.values().max().copied().unwrap_or(0);
                assert!(
                    self.held.len() <= room,
                    "{} steps, but the offers are {:?}",
                    self.held.len(),
                    self.offers
                );
            }
            WorkerEvent::Message(ToWorker::Heartbeat(OrchestratorHeartbeat {
                offer: Some(counts), ..
            })) => {
                self.offers.retain(|number, _| *number >= counts);
            }
            WorkerEvent::Message(ToWorker::Refuse(refuse)) => panic!("refused: {}", refuse.reason),
            WorkerEvent::Disconnected => panic!("disconnected"),
            _ => {}
        }
    }

    fn end_one(&mut self, script: &Script) {
        let mut batches: Vec<BatchId> = self.held.keys().copied().collect();
        batches.sort_unstable();
        let batch = batches[self.chaos.below(batches.len())];
        let Some(step) = self.held.remove(&batch) else { return };
        let ending = script.ending(step.step.position(), step.attempt);
        let told = outcome(&step, ending);
        if ending == Ending::Vanish {
            // A heartbeat that has seen it and does not list it.
            self.heartbeat(None);
            self.vanished.insert(step.step, (batch, outcome(&step, Ending::Complete)));
        } else {
            self.tell(batch, told.clone());
            if self.chaos.one_in(2) {
                self.complete(batch, &told);
            }
            self.told.push((batch, told));
        }
        if !self.told.is_empty() && self.chaos.one_in(3) {
            let (batch, outcome) = self.told[self.chaos.below(self.told.len())].clone();
            self.tell(batch, outcome);
        }
        if self.chaos.one_in(4) {
            self.offer();
        }
        if self.chaos.one_in(6) {
            self.tell(BatchId(9_999), outcome(&step, Ending::Complete));
        }
    }

    fn tell(&mut self, batch: BatchId, outcome: StepOutcome) {
        self.send(FromWorker::PartialResult(PartialResult {
            batch,
            outcomes: vec![outcome],
            running: Vec::new(),
        }));
    }

    fn complete(&mut self, batch: BatchId, told: &StepOutcome) {
        let completed = u32::from(told.status == OutcomeStatus::Completed);
        let summary = StepSummary {
            task: told.task,
            step: told.step,
            attempt: told.attempt,
            status: told.status,
            execution_us: told.execution_us,
            digest: told.digest,
        };
        let message = BatchCompletion { batch, completed, failed: 1 - completed, summaries: vec![summary] };
        self.send(FromWorker::BatchCompletion(message));
    }

    /// Takes more from now on, or less.
    fn offer(&mut self) {
        let number = self.offers.keys().max().map_or(1, |newest| newest + 1);
        let credit = 1 + self.chaos.below(4);
        self.offers.insert(number, credit);
        let credit = u32::try_from(credit).unwrap_or(1);
        self.heartbeat(Some(Offer { number, slots: 1, credit, credit_bytes: 1 << 20 }));
    }

    fn heartbeat(&mut self, offer: Option<Offer>) {
        let held = self.held.keys().copied().collect();
        self.send(FromWorker::Heartbeat(WorkerHeartbeat {
            offer,
            held,
            latest: self.latest,
            slots_free: 8,
            credit_free: 64,
            draining: false,
        }));
    }

    fn send(&mut self, message: FromWorker) {
        self.port.send(message).expect("the connection stands");
    }

    /// What a scripted attempt returns.
    pub fn output(step: StepId, attempt: u32) -> String {
        format!("{{\"step\":{},\"attempt\":{attempt}}}", step.position())
    }

    /// Stops the orchestrator and waits for it.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.running.await.expect("the orchestrator ends well");
        self.port.close().await;
        self.store.close().await;
    }
}

/// Each parent's output must have come along, and it must be the one that completed.
fn check_parents(step: &StepTask, script: &Script) {
    let fates = script.fates();
    let expect: Vec<(String, String)> = script.parents[usize::from(step.step.position())]
        .iter()
        .map(|parent| match fates[usize::from(*parent)] {
            crate::model::Fate::Completes(attempt) => {
                (format!("s{parent}"), Rig::output(StepId::new(step.task, *parent), attempt))
            }
            other => panic!("step {} runs, but its parent {parent} must end as {other:?}", step.name),
        })
        .collect();
    let got: Vec<(String, String)> =
        step.parents.iter().map(|(name, output)| (name.clone(), output.as_str().to_owned())).collect();
    assert_eq!(got, expect, "the parents' outputs of {}", step.name);
}

/// What a worker with room for every step says first.
pub fn hello() -> Hello {
    Hello {
        versions: vec![1],
        name: "driven".to_owned(),
        incarnation: "one".to_owned(),
        host: "here".to_owned(),
        pid: 1,
        slots: 8,
        credit: CREDIT,
        credit_bytes: 1 << 20,
        labels: Vec::new(),
        serves: Serves { wasm: true, external: Vec::new() },
        held: Vec::new(),
        unacknowledged: Vec::new(),
    }
}

/// A script's graph as a plan.
pub fn plan(script: &Script) -> Plan {
    let step = |(at, parents): (usize, &Vec<u16>)| PlanStep {
        name: format!("s{at}"),
        plugin: "test/driven".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"driven"),
        handler: "run".to_owned(),
        parents: parents.clone(),
        config: Payload::parse("{}").expect("valid JSON"),
        timeout_ms: 60_000,
        retry: RetryPolicy { limit: script.retry_limit, backoff: Backoff::None, ..RetryPolicy::default() },
        limits: StepLimits::default(),
    };
    Plan {
        namespace: "test".to_owned(),
        name: "driven".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: script.parents.iter().enumerate().map(step).collect(),
    }
}

/// What a worker reports of an attempt that ends so.
pub fn outcome(step: &StepTask, ending: Ending) -> StepOutcome {
    let outcome = match ending {
        Ending::Complete | Ending::Vanish => Outcome::Completed {
            output: Payload::parse(Rig::output(step.step, step.attempt)).expect("valid JSON"),
        },
        Ending::Retryable => Outcome::Failed { error: Failure::new(FailureClass::Retryable, "scripted") },
        Ending::Permanent => Outcome::Failed { error: Failure::new(FailureClass::Permanent, "scripted") },
    };
    let digest = outcome.digest();
    let (status, output, error) = match outcome {
        Outcome::Completed { output } => (OutcomeStatus::Completed, Some(output), None),
        Outcome::Failed { error } => (OutcomeStatus::Failed, None, Some(error)),
    };
    StepOutcome {
        task: step.task,
        step: step.step,
        attempt: step.attempt,
        status,
        output,
        error,
        digest,
        started_at: Timestamp(0),
        execution_us: 1,
        receipt: Receipt::default(),
        log: Vec::new(),
    }
}
