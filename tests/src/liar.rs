//! A worker that says whatever a test wants it to say, to a real orchestrator: what the ledger makes of lies, without a broken
//! build.

use std::sync::Arc;

use stepwright_orchestrator::{Orchestrator, OrchestratorHandle, OrchestratorOptions};
use stepwright_store::{NewTask, Store};
use stepwright_store_sqlite::SqliteStore;
use stepwright_transport::local::{self, LocalHub};
use stepwright_transport::port::{WorkerEvent, WorkerPort};
use stepwright_transport::wire::{
    Batch, BatchCompletion, FromWorker, Hello, OutcomeStatus, PartialResult, Serves, StepOutcome,
    StepSummary, StepTask, ToWorker,
};
use stepwright_workflow::{BatchId, Digest, Payload, TaskId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::{Ending, Script};
use crate::rig::{TestClock, hello, outcome, plan};

/// See the module.
pub struct Liar {
    port: Box<dyn WorkerPort>,
}

impl Liar {
    /// A worker behind this port that was welcomed.
    pub async fn join(port: Box<dyn WorkerPort>) -> Self {
        Self::join_as(port, hello()).await
    }

    /// The same with another greeting.
    pub async fn join_as(port: Box<dyn WorkerPort>, hello: Hello) -> Self {
        let mut liar = Self { port };
        loop {
            match liar.port.recv().await.expect("the port is open") {
                WorkerEvent::Connected => liar.send(FromWorker::Hello(hello.clone())),
                WorkerEvent::Message(ToWorker::Welcome(_)) => return liar,
                _ => {}
            }
        }
    }

    /// The next message that is no heartbeat.
    pub async fn next(&mut self) -> ToWorker {
        loop {
            match self.port.recv().await.expect("the port is open") {
                WorkerEvent::Message(ToWorker::Heartbeat(_)) => {}
                WorkerEvent::Message(message) => return message,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for a batch.
    pub async fn batch(&mut self) -> Batch {
        loop {
            if let ToWorker::Batch(batch) = self.next().await {
                return batch;
            }
        }
    }

    /// Waits until it may forget the batch.
    pub async fn until_closed(&mut self, batch: BatchId) {
        loop {
            if let ToWorker::Ack(ack) = self.next().await
                && ack.reconciled.contains(&batch)
            {
                return;
            }
        }
    }

    /// Waits until it is asked again, and says for how many outcomes.
    pub async fn until_asked_again(&mut self) -> usize {
        loop {
            if let ToWorker::Resend(resend) = self.next().await {
                return resend.attempts.len();
            }
        }
    }

    /// Reports outcomes.
    pub fn report(&mut self, batch: BatchId, outcomes: Vec<StepOutcome>) {
        self.send(FromWorker::PartialResult(PartialResult { batch, outcomes, running: Vec::new() }));
    }

    /// Ends a batch with this list.
    pub fn complete(&mut self, batch: BatchId, summaries: Vec<StepSummary>) {
        let completed = summaries.iter().filter(|line| line.status == OutcomeStatus::Completed).count();
        let completed = u32::try_from(completed).unwrap_or(0);
        let failed = u32::try_from(summaries.len()).unwrap_or(0) - completed;
        self.send(FromWorker::BatchCompletion(BatchCompletion { batch, completed, failed, summaries }));
    }

    /// Goes.
    pub async fn close(mut self) {
        self.port.close().await;
    }

    fn send(&mut self, message: FromWorker) {
        self.port.send(message).expect("the connection stands");
    }
}

/// What an honest worker would report of a step that completed.
pub fn truth(step: &StepTask) -> StepOutcome {
    outcome(step, Ending::Complete)
}

/// The same attempt with another output.
pub fn lie(step: &StepTask) -> StepOutcome {
    let mut told = truth(step);
    let output = Payload::parse("\"another output\"").expect("valid JSON");
    told.digest = stepwright_workflow::Outcome::Completed { output: output.clone() }.digest();
    told.output = Some(output);
    told
}

/// The line of a completion for an outcome.
pub fn line(told: &StepOutcome) -> StepSummary {
    StepSummary {
        task: told.task,
        step: told.step,
        attempt: told.attempt,
        status: told.status,
        execution_us: told.execution_us,
        digest: told.digest,
    }
}

/// The same line with another digest.
pub fn forged(told: &StepOutcome) -> StepSummary {
    StepSummary { digest: Digest::of(b"forged"), ..line(told) }
}

/// An orchestrator in this process, usually in front of a database in memory.
pub struct InProcess {
    /// Its database.
    pub store: Arc<dyn Store>,
    /// Its handle.
    pub handle: OrchestratorHandle,
    hub: LocalHub,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl InProcess {
    /// Starts it, and a liar as its only worker.
    pub async fn start() -> (Self, Liar) {
        Self::over(Arc::new(SqliteStore::in_memory().await.expect("a database in memory opens"))).await
    }

    /// The same in front of this database.
    #[allow(clippy::disallowed_methods, reason = "it joins its only task when it stops")]
    pub async fn over(store: Arc<dyn Store>) -> (Self, Liar) {
        let mut options = OrchestratorOptions::new("test");
        // The liar speaks when the test wants it to; on a busy machine it must not be taken for dead.
        (options.heartbeat_ms, options.lease_ms) = (60_000, 600_000);
        let (port, hub) = local::hub();
        let random = Arc::new(|| 0);
        let (orchestrator, handle) =
            Orchestrator::new(options, store.clone(), Box::new(port), Arc::new(TestClock), random);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running =
            tokio::spawn(async move { orchestrator.run(stopped).await.expect("the orchestrator runs on") });
        let liar = Liar::join(Box::new(hub.connect())).await;
        (Self { store, handle, hub, stop, running }, liar)
    }

    /// Creates a task of so many steps that do not wait for each other.
    pub async fn task(&self, steps: usize) -> TaskId {
        let script =
            Script { parents: vec![Vec::new(); steps], endings: vec![Vec::new(); steps], retry_limit: 3 };
        let plan = plan(&script);
        let task = NewTask {
            plan: self.store.add_plan(&plan).await.expect("the plan is stored"),
            namespace: plan.namespace.clone(),
            template: plan.name.clone(),
            parents: vec![0; steps].into(),
            external: Arc::default(),
            context: Payload::null(),
            tags: Vec::new(),
            priority: 0,
            idempotency_key: None,
            start_at: None,
        };
        self.handle.start(vec![task]).await.expect("the task is created")[0].task
    }

    /// A further worker, which runs these external handlers and no components.
    pub async fn external(&self, name: &str, handlers: &[&str]) -> Liar {
        let external = handlers.iter().map(|handler| (*handler).to_owned()).collect();
        let serves = Serves { wasm: false, external };
        let hello = Hello { name: name.to_owned(), incarnation: name.to_owned(), serves, ..hello() };
        Liar::join_as(Box::new(self.hub.connect()), hello).await
    }

    /// Stops the orchestrator and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("the orchestrator ends well");
        self.store.close().await;
    }
}
