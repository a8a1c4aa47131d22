//! The orchestrator's desk as a test plays it, with a worker on the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use stepwright_executor::{Control, Executor, HostBroken, Receipt, StepCall, StepReport};
use stepwright_transport::local::{LocalWorkerPort, hub};
use stepwright_transport::port::{ConnectionId, OrchestratorEvent, OrchestratorPort, WorkerPort};
use stepwright_transport::wire::{
    Ack, Batch, BatchCompletion, Cancel, ComponentRequest, FromWorker, Goodbye, Hello, PROTOCOL_VERSION,
    PartialResult, StepTask, ToWorker, Welcome, WorkerHeartbeat,
};
use stepwright_worker::{Fetches, News, Pool, Worker, WorkerEnd, WorkerError, WorkerOptions};
use stepwright_workflow::{
    AttemptKey, BatchId, Clock, Digest, Outcome, Payload, StepId, StepLimits, TaskId, Timestamp,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn forward(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn clock() -> Arc<StillClock> {
    Arc::default()
}

/// The worker waits for acknowledgements as long as the test takes for them.
pub(crate) fn options(slots: u32) -> WorkerOptions {
    WorkerOptions { ack_ms: 600_000, ..WorkerOptions::new("w", "inc", slots) }
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        version: PROTOCOL_VERSION,
        heartbeat_ms: 600_000,
        lease_ms: 3_000_000,
        message_bytes_max: 8 << 20,
        payload_bytes_max: 1 << 20,
        keep: Vec::new(),
        orchestrator: "o".to_owned(),
        peers: Vec::new(),
    }
}

/// The step at position `n` of task 1.
pub(crate) fn step(n: u16) -> StepTask {
    let task = TaskId(1);
    StepTask {
        task,
        step: StepId::new(task, n),
        attempt: 1,
        name: format!("step-{n}"),
        handler: "handle".into(),
        plugin: Digest::of(b"plugin"),
        plugin_name: "shop/steps".into(),
        plugin_version: "1.0.0".into(),
        namespace: "shop".into(),
        retry_limit: 3,
        idempotency_key: format!("task/1/step-{n}"),
        timeout_ms: 3_600_000,
        limits: StepLimits::default(),
        config: Payload::null(),
        context: Payload::null(),
        parents: vec![("before".into(), Payload::null())],
        tags: Vec::new(),
    }
}

/// Lets one step complete for each permit, and counts how many run at once.
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    running: watch::Sender<(usize, usize)>,
}

impl Gate {
    /// Waits until so many steps run at once.
    pub(crate) async fn reached(&self, wanted: usize) {
        self.running.subscribe().wait_for(|(running, _)| *running == wanted).await.unwrap();
    }

    /// The most steps that ever ran at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.running.borrow().1
    }
}

pub(crate) fn gate() -> (Arc<Gate>, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    (Arc::new(Gate { permits: permits.clone(), running: watch::Sender::new((0, 0)) }), permits)
}

#[async_trait]
impl Executor for Gate {
    async fn execute(&self, _: StepCall, _: Control) -> Result<StepReport, HostBroken> {
        self.running.send_modify(|(running, most)| {
            *running += 1;
            *most = *running.max(most);
        });
        self.permits.acquire().await.unwrap().forget();
        self.running.send_modify(|(running, _)| *running -= 1);
        Ok(StepReport {
            outcome: Outcome::Completed { output: Payload::null() },
            started_at: Timestamp(0),
            wall: std::time::Duration::ZERO,
            receipt: Receipt::default(),
            log: Vec::new(),
        })
    }
}

/// The orchestrator's side, and the worker's task.
pub(crate) struct Desk {
    port: Box<dyn OrchestratorPort>,
    connection: Option<ConnectionId>,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    worker: JoinSet<Result<WorkerEnd, WorkerError>>,
    handle: AbortHandle,
}

impl Desk {
    /// A worker that is about to say hello.
    pub(crate) fn connect(executor: Arc<dyn Executor>, options: WorkerOptions) -> Self {
        Self::through(|port| Box::new(port), executor, options)
    }

    /// The same, with something around its port.
    pub(crate) fn through(
        around: impl FnOnce(LocalWorkerPort) -> Box<dyn WorkerPort>,
        executor: Arc<dyn Executor>,
        options: WorkerOptions,
    ) -> Self {
        let (port, hub) = hub();
        Self::at(Box::new(port), around(hub.connect()), executor, options)
    }

    /// The two ends of any connection.
    pub(crate) fn at(
        port: Box<dyn OrchestratorPort>,
        end: Box<dyn WorkerPort>,
        executor: Arc<dyn Executor>,
        options: WorkerOptions,
    ) -> Self {
        let clock = clock();
        let worker = Worker::new(end, executor, clock.clone(), options);
        Self::of(port, worker, clock)
    }

    /// A worker that is one of several links of a process.
    pub(crate) fn sharing(
        pool: &Pool,
        executor: Arc<dyn Executor>,
        options: WorkerOptions,
        news: News,
    ) -> Self {
        let (port, hub) = hub();
        let clock = clock();
        let worker = Worker::new(Box::new(hub.connect()), executor, clock.clone(), options);
        Self::of(Box::new(port), worker.sharing(pool.link()).telling(news), clock)
    }

    /// A worker that fetches what its process orders.
    pub(crate) fn fetching(fetches: &Fetches, executor: Arc<dyn Executor>, options: WorkerOptions) -> Self {
        let (port, hub) = hub();
        let clock = clock();
        let worker = Worker::new(Box::new(hub.connect()), executor, clock.clone(), options);
        Self::of(Box::new(port), worker.fetching(fetches.clone()), clock)
    }

    /// The next request for a component.
    pub(crate) async fn request(&mut self) -> ComponentRequest {
        loop {
            if let FromWorker::ComponentRequest(request) = self.said().await {
                return request;
            }
        }
    }

    fn of(port: Box<dyn OrchestratorPort>, run: Worker, clock: Arc<StillClock>) -> Self {
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        let mut worker = JoinSet::new();
        let handle = worker.spawn(run.run(drain.clone(), abort.clone()));
        Self { port, connection: None, clock, drain, abort, worker, handle }
    }

    /// The next heartbeat that is as wanted.
    pub(crate) async fn heartbeat(&mut self, wanted: impl Fn(&WorkerHeartbeat) -> bool) -> WorkerHeartbeat {
        loop {
            match self.said().await {
                FromWorker::Heartbeat(heartbeat) if wanted(&heartbeat) => return heartbeat,
                _ => {}
            }
        }
    }

    /// A worker that is welcome.
    pub(crate) async fn open(executor: Arc<dyn Executor>, options: WorkerOptions) -> Self {
        let mut desk = Self::connect(executor, options);
        desk.hello().await;
        desk.say(ToWorker::Welcome(welcome()));
        desk
    }

    pub(crate) async fn event(&mut self) -> Option<OrchestratorEvent> {
        let event = tokio::time::timeout(std::time::Duration::from_secs(20), self.port.recv());
        let event = event.await.expect("the worker said nothing for 20 s");
        match &event {
            Some(OrchestratorEvent::Message(connection, _)) => self.connection = Some(*connection),
            Some(OrchestratorEvent::Disconnected(gone)) if self.connection == Some(*gone) => {
                self.connection = None;
            }
            Some(OrchestratorEvent::Disconnected(_)) | None => {}
        }
        event
    }

    /// The next message, whatever it is.
    pub(crate) async fn any(&mut self) -> FromWorker {
        match self.event().await {
            Some(OrchestratorEvent::Message(_, message)) => message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next message, breaks apart.
    pub(crate) async fn said(&mut self) -> FromWorker {
        loop {
            match self.event().await {
                Some(OrchestratorEvent::Message(_, message)) => return message,
                Some(OrchestratorEvent::Disconnected(_)) => {}
                None => panic!("the port is closed"),
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        loop {
            if let FromWorker::Hello(hello) = self.said().await {
                return hello;
            }
        }
    }

    /// The next partial result; only heartbeats may come before it.
    pub(crate) async fn partial(&mut self) -> PartialResult {
        loop {
            match self.said().await {
                FromWorker::PartialResult(partial) => return partial,
                FromWorker::Heartbeat(_) => {}
                other => panic!("expected a partial result, got {other:?}"),
            }
        }
    }

    /// The next completion, with whatever came before it.
    pub(crate) async fn completion(&mut self) -> BatchCompletion {
        loop {
            if let FromWorker::BatchCompletion(completion) = self.said().await {
                return completion;
            }
        }
    }

    pub(crate) async fn goodbye(&mut self) -> Goodbye {
        loop {
            if let FromWorker::Goodbye(goodbye) = self.said().await {
                return goodbye;
            }
        }
    }

    pub(crate) fn say(&mut self, message: ToWorker) {
        self.port.send(self.connection.expect("no connection"), message).unwrap();
    }

    pub(crate) fn batch(&mut self, batch: i64, steps: impl IntoIterator<Item = StepTask>) {
        let steps = steps.into_iter().collect();
        self.say(ToWorker::Batch(Batch { batch: BatchId(batch), created_at: Timestamp(0), steps }));
    }

    pub(crate) fn cancel(&mut self, batch: i64, steps: impl IntoIterator<Item = u16>) {
        let key = |n| AttemptKey { step: step(n).step, attempt: 1, batch: BatchId(batch) };
        self.say(ToWorker::Cancel(Cancel { attempts: steps.into_iter().map(key).collect() }));
    }

    pub(crate) fn acknowledge(&mut self, partial: &PartialResult, reconciled: bool) {
        let key = |(step, attempt)| AttemptKey { step, attempt, batch: partial.batch };
        let outcomes = partial.outcomes.iter().map(|outcome| key((outcome.step, outcome.attempt))).collect();
        let reconciled = if reconciled { vec![partial.batch] } else { Vec::new() };
        self.say(ToWorker::Ack(Ack { outcomes, reconciled }));
    }

    pub(crate) fn reconciled(&mut self, batch: i64) {
        self.say(ToWorker::Ack(Ack { outcomes: Vec::new(), reconciled: vec![BatchId(batch)] }));
    }

    pub(crate) fn break_connection(&mut self) {
        self.port.disconnect(self.connection.take().expect("no connection"));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.handle.is_finished()
    }

    /// How the worker ended.
    pub(crate) async fn end(&mut self) -> Result<WorkerEnd, WorkerError> {
        tokio::time::timeout(std::time::Duration::from_secs(20), self.worker.join_next())
            .await
            .expect("the worker did not end within 20 s")
            .expect("the worker ended before")
            .expect("the worker panicked")
    }

    /// Stops the worker at once.
    pub(crate) async fn abort(&mut self) {
        self.abort.cancel();
        assert!(self.end().await.unwrap().aborted);
    }

    /// Ends a test: the worker must still be at work.
    pub(crate) async fn leave(&mut self) {
        assert!(!self.is_over());
        self.abort().await;
    }
}
