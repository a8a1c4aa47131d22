//! A worker at its port: what it takes, what it says, and when it leaves. The test plays the orchestrator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a wrong worker is a failed test")]

mod desk;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use desk::{Desk, gate, options, step, welcome};
use stepwright_executor::{
    Control, Executor, Fetched, HostBroken, Order, Scripted, ScriptedExecutor, Signature, StepCall,
    StepReport,
};
use stepwright_transport::local::LocalWorkerPort;
use stepwright_transport::port::{OrchestratorEvent, PortStats, SendError, WorkerEvent, WorkerPort};
use stepwright_transport::wire::{
    self, ComponentPart, ComponentRequest, Drain, FromWorker, Offer, OrchestratorHeartbeat, OutcomeStatus,
    PartialResult, Peer, Refuse, Resend, StepOutcome, ToWorker, Welcome, WorkerHeartbeat,
};
use stepwright_transport::zmq;
use stepwright_worker::{Fetches, Heard, News, Pool, WorkerError, WorkerOptions};
use stepwright_workflow::{AttemptKey, BatchId, Digest, FailureClass, Outcome, Payload};
use tokio::sync::{mpsc, oneshot};

fn completes() -> Arc<dyn Executor> {
    Arc::new(ScriptedExecutor::new(desk::clock(), |_| Scripted::completed(Payload::null())))
}

fn hangs() -> Arc<dyn Executor> {
    Arc::new(ScriptedExecutor::new(desk::clock(), |_| Scripted::Hang))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_step_is_one_partial_result_and_one_completion() {
    let mut desk = Desk::open(completes(), options(2)).await;
    desk.batch(1, [step(1)]);
    let partial = desk.partial().await;
    assert_eq!(partial.batch, BatchId(1));
    assert_eq!(partial.outcomes.len(), 1);
    let outcome = &partial.outcomes[0];
    assert_eq!((outcome.status, outcome.error.as_ref()), (OutcomeStatus::Completed, None));
    let output = outcome.output.clone().unwrap();
    assert_eq!(outcome.digest, Outcome::Completed { output }.digest());
    let completion = desk.completion().await;
    assert_eq!((completion.completed, completion.failed), (1, 0));
    assert_eq!(completion.summaries[0].digest, outcome.digest);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_steps_are_few_messages_and_the_completion_comes_last() {
    let options = WorkerOptions { coalesce_ms: 60_000, credit: 200, ..options(2) };
    let mut desk = Desk::open(completes(), options).await;
    desk.batch(1, (1..=200).map(step));
    let (mut messages, mut outcomes) = (0, Vec::new());
    let completion = loop {
        messages += 1;
        match desk.said().await {
            FromWorker::PartialResult(partial) => outcomes.extend(partial.outcomes),
            FromWorker::BatchCompletion(completion) => break completion,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(outcomes.len(), 200);
    assert_eq!((completion.completed, completion.summaries.len()), (200, 200));
    for (line, outcome) in completion.summaries.iter().zip(&outcomes) {
        assert_eq!((line.step, line.digest), (outcome.step, outcome.digest));
    }
    // Nothing waits for a slot only near the end, so nearly all go in full loads of 64 or more.
    assert!(messages <= 8, "{messages} messages");
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_step_does_not_wait_for_ever_for_others() {
    let (executor, gate) = gate();
    let mut desk = Desk::open(executor, WorkerOptions { coalesce_ms: 1, ..options(1) }).await;
    desk.batch(1, (1..=3).map(step));
    gate.add_permits(1);
    // The second step hangs on the gate and the third waits for a slot: only the window sends the first outcome.
    assert_eq!(desk.partial().await.outcomes.len(), 1);
    gate.add_permits(2);
    desk.completion().await;
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_and_heartbeats_tell_what_is_held_and_what_is_free() {
    let mut desk = Desk::connect(hangs(), WorkerOptions { credit: 5, ..options(2) });
    let hello = desk.hello().await;
    assert_eq!((hello.slots, hello.credit, hello.held.len()), (2, 5, 0));
    assert_eq!((hello.name.as_str(), hello.incarnation.as_str()), ("w", "inc"));
    desk.say(ToWorker::Welcome(Welcome { heartbeat_ms: 5, ..welcome() }));
    desk.batch(7, (1..=3).map(step));
    let heartbeat = loop {
        if let FromWorker::Heartbeat(heartbeat) = desk.said().await
            && !heartbeat.held.is_empty()
            && heartbeat.slots_free == 0
        {
            break heartbeat;
        }
    };
    assert_eq!((heartbeat.held, heartbeat.credit_free), (vec![BatchId(7)], 2));
    desk.abort().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_beyond_the_credit_is_not_taken() {
    let mut desk = Desk::connect(hangs(), WorkerOptions { credit: 5, ..options(2) });
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { heartbeat_ms: 5, ..welcome() }));
    desk.batch(1, (1..=5).map(step));
    desk.batch(2, (6..=20).map(step));
    desk.batch(3, [step(21)]);
    let held = loop {
        if let FromWorker::Heartbeat(heartbeat) = desk.said().await
            && heartbeat.held.contains(&BatchId(3))
        {
            break heartbeat.held;
        }
    };
    assert_eq!(held, [BatchId(1), BatchId(3)]);
    desk.abort().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_run_on_all_slots_and_on_no_more() {
    let (executor, gate) = gate();
    let mut desk = Desk::open(executor.clone(), options(3)).await;
    desk.batch(1, (1..=9).map(step));
    executor.reached(3).await;
    gate.add_permits(9);
    desk.completion().await;
    assert_eq!(executor.most_at_once(), 3);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_sent_again_after_a_break_until_they_are_acknowledged() {
    let mut desk = Desk::open(completes(), options(1)).await;
    desk.batch(1, [step(1)]);
    desk.batch(2, [step(2)]);
    let (first, second) = (desk.partial().await, {
        desk.completion().await;
        desk.partial().await
    });
    desk.completion().await;
    desk.acknowledge(&first, true);
    // Only what is recorded is forgotten; the second batch's outcome is, its completion is not.
    desk.acknowledge(&second, false);
    desk.break_connection();
    let hello = desk.hello().await;
    assert_eq!((hello.held, hello.unacknowledged), (vec![BatchId(2)], vec![]));
    desk.say(ToWorker::Welcome(Welcome { keep: vec![BatchId(2)], ..welcome() }));
    assert_eq!(desk.completion().await.batch, BatchId(2));

    desk.batch(3, [step(3)]);
    let third = desk.partial().await;
    desk.completion().await;
    desk.break_connection();
    let hello = desk.hello().await;
    assert_eq!(
        hello.unacknowledged,
        [AttemptKey { step: third.outcomes[0].step, attempt: 1, batch: BatchId(3) }]
    );
    desk.say(ToWorker::Welcome(Welcome { keep: vec![BatchId(3)], ..welcome() }));
    assert_eq!(desk.partial().await, third);
    assert_eq!(desk.completion().await.batch, BatchId(3));
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_not_kept_is_dropped_with_everything_that_runs_of_it() {
    let mut desk = Desk::open(hangs(), options(1)).await;
    desk.batch(1, [step(1), step(2)]);
    desk.break_connection();
    assert_eq!(desk.hello().await.held, [BatchId(1)]);
    desk.say(ToWorker::Welcome(welcome()));
    // The only slot must come free of the dropped step; this one then hangs too, until it is told to stop.
    desk.batch(2, [step(3)]);
    desk.cancel(2, [3]);
    let partial = desk.partial().await;
    assert_eq!((partial.batch, partial.outcomes.len()), (BatchId(2), 1));
    assert_eq!(desk.completion().await.batch, BatchId(2));
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_sent_again_when_it_is_asked_for() {
    let mut desk = Desk::open(completes(), options(1)).await;
    desk.batch(1, [step(1), step(2)]);
    let mut outcomes: Vec<StepOutcome> = Vec::new();
    while outcomes.len() < 2 {
        outcomes.extend(desk.partial().await.outcomes);
    }
    desk.completion().await;
    let wanted = &outcomes[1];
    let key = AttemptKey { step: wanted.step, attempt: wanted.attempt, batch: BatchId(1) };
    desk.say(ToWorker::Resend(Resend { attempts: vec![key] }));
    assert_eq!(desk.partial().await.outcomes, std::slice::from_ref(wanted));
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_comes_twice_is_run_once() {
    let scripted = Arc::new(ScriptedExecutor::new(desk::clock(), |_| Scripted::completed(Payload::null())));
    let mut desk = Desk::open(scripted.clone(), options(1)).await;
    desk.batch(1, [step(1), step(1)]);
    desk.batch(1, [step(1)]);
    desk.batch(2, [step(2)]);
    while desk.completion().await.batch != BatchId(2) {}
    assert_eq!(scripted.calls().len(), 2);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_and_queued_attempts_stop_when_they_are_cancelled() {
    let mut desk = Desk::open(hangs(), options(1)).await;
    desk.batch(1, [step(1), step(2)]);
    desk.cancel(1, [1, 2]);
    let mut outcomes: Vec<StepOutcome> = Vec::new();
    while outcomes.len() < 2 {
        outcomes.extend(desk.partial().await.outcomes);
    }
    for outcome in outcomes {
        assert_eq!(outcome.error.unwrap().class, FailureClass::Cancelled);
    }
    assert_eq!(desk.completion().await.failed, 2);
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_is_held_and_says_goodbye_after_the_acknowledgement() {
    let (executor, gate) = gate();
    let mut desk = Desk::open(executor, options(1)).await;
    desk.batch(1, [step(1), step(2)]);
    desk.say(ToWorker::Drain(Drain { reason: "upgrade".into() }));
    let FromWorker::Heartbeat(heartbeat) = desk.any().await else { panic!("expected a heartbeat") };
    assert_eq!(heartbeat.credit_free, 0);
    gate.add_permits(2);
    let mut partials: Vec<PartialResult> = Vec::new();
    while partials.iter().map(|partial| partial.outcomes.len()).sum::<usize>() < 2 {
        partials.push(desk.partial().await);
    }
    desk.completion().await;
    assert!(!desk.is_over(), "the outcomes are not acknowledged yet");
    for partial in &partials {
        desk.acknowledge(partial, false);
    }
    desk.reconciled(1);
    assert!(desk.goodbye().await.reason.contains("upgrade"));
    let end = desk.end().await.unwrap();
    assert_eq!((end.steps_ended, end.steps_given_up, end.outcomes_unacknowledged), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_crosses_with_the_drain_is_still_run() {
    let (executor, gate) = gate();
    let mut desk = Desk::open(executor, options(1)).await;
    desk.batch(1, [step(1)]);
    desk.say(ToWorker::Drain(Drain { reason: "upgrade".into() }));
    desk.batch(2, [step(2)]);
    gate.add_permits(2);
    for batch in 1..=2 {
        let partial = desk.partial().await;
        assert_eq!(desk.completion().await.batch, BatchId(batch));
        desk.acknowledge(&partial, true);
    }
    desk.goodbye().await;
    assert_eq!(desk.end().await.unwrap().steps_given_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_gives_up_what_outlasts_its_time() {
    let mut desk = Desk::open(hangs(), WorkerOptions { drain_ms: 1, ..options(1) }).await;
    desk.batch(1, [step(1), step(2)]);
    desk.say(ToWorker::Drain(Drain { reason: "upgrade".into() }));
    assert!(desk.goodbye().await.reason.contains("2 steps"));
    let end = desk.end().await.unwrap();
    assert_eq!((end.steps_given_up, end.aborted), (2, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_without_a_goodbye_if_nobody_acknowledges() {
    let mut desk = Desk::open(completes(), WorkerOptions { ack_ms: 1, ..options(1) }).await;
    desk.batch(1, [step(1)]);
    desk.partial().await;
    desk.drain.cancel();
    let end = desk.end().await.unwrap();
    assert_eq!(end.outcomes_unacknowledged, 1);
    while let Some(OrchestratorEvent::Message(_, message)) = desk.event().await {
        assert!(!matches!(message, FromWorker::Goodbye(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_stops_at_once_and_says_nothing() {
    let mut desk = Desk::open(hangs(), options(1)).await;
    desk.batch(1, [step(1)]);
    desk.abort.cancel();
    let end = desk.end().await.unwrap();
    assert!(end.aborted);
    while let Some(OrchestratorEvent::Message(_, message)) = desk.event().await {
        assert!(!matches!(message, FromWorker::Goodbye(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_worker_ends_with_the_reason() {
    let mut desk = Desk::connect(completes(), options(1));
    desk.hello().await;
    desk.say(ToWorker::Refuse(Refuse { reason: "no such pool".into() }));
    assert_eq!(desk.end().await.unwrap_err(), WorkerError::Refused { reason: "no such pool".into() });

    let mut desk = Desk::connect(completes(), options(1));
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { version: 9, ..welcome() }));
    assert_eq!(desk.end().await.unwrap_err(), WorkerError::Version { chosen: 9, spoken: 1 });
}

/// Panics at step 1, is broken at step 2, and completes the others.
struct Faulty(ScriptedExecutor);

#[async_trait]
impl Executor for Faulty {
    async fn execute(&self, call: StepCall, control: Control) -> Result<StepReport, HostBroken> {
        match call.step_name.as_str() {
            "step-1" => panic!("out of bounds"),
            "step-2" => {
                Err(HostBroken::Internal { what: "reading the cache".into(), source: "disk full".into() })
            }
            _ => self.0.execute(call, control).await,
        }
    }
}

fn faulty() -> Arc<dyn Executor> {
    Arc::new(Faulty(ScriptedExecutor::new(desk::clock(), |_| Scripted::completed(Payload::null()))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_or_a_broken_host_gives_the_step_back_and_the_slot_goes_on() {
    let mut desk = Desk::open(faulty(), options(1)).await;
    desk.batch(1, (1..=3).map(step));
    let completion = desk.completion().await;
    let listed: Vec<_> = completion.summaries.iter().map(|line| line.step).collect();
    assert_eq!(listed, [step(3).step]);
    assert_eq!((completion.completed, completion.failed), (1, 0));
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stays_broken_ends_the_worker() {
    let mut desk = Desk::open(faulty(), WorkerOptions { broken_max: 2, ..options(1) }).await;
    desk.batch(1, [step(1)]);
    desk.batch(2, [step(2), step(3)]);
    // Whether the third step began before the worker knew is the scheduler's choice.
    let goodbye = loop {
        match desk.said().await {
            FromWorker::PartialResult(partial) => desk.acknowledge(&partial, false),
            FromWorker::BatchCompletion(completion) => desk.reconciled(completion.batch.0),
            FromWorker::Goodbye(goodbye) => break goodbye,
            _ => {}
        }
    };
    assert!(goodbye.reason.contains("broken"));
    let error = desk.end().await.unwrap_err();
    assert_eq!(error, WorkerError::HostBroken { times: 2, reason: "reading the cache: disk full".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_step_is_marked_once_and_again_with_each_progress() {
    struct Reporting(Arc<AtomicBool>);
    #[async_trait]
    impl Executor for Reporting {
        async fn execute(&self, _: StepCall, control: Control) -> Result<StepReport, HostBroken> {
            while !self.0.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            control.progress(0.5, "half".into());
            std::future::pending().await
        }
    }
    let go = Arc::new(AtomicBool::new(false));
    let mut desk = Desk::connect(Arc::new(Reporting(go.clone())), options(1));
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { heartbeat_ms: 2, ..welcome() }));
    desk.batch(1, [step(1)]);
    let mark = desk.partial().await.running.remove(0);
    assert_eq!((mark.step, mark.attempt, mark.fraction, mark.note), (step(1).step, 1, None, None));
    let mut heartbeats = 0;
    while heartbeats < 3 {
        match desk.any().await {
            FromWorker::Heartbeat(_) => heartbeats += 1,
            other => panic!("no mark without progress: {other:?}"),
        }
    }
    go.store(true, Ordering::Release);
    let mark = desk.partial().await.running.remove(0);
    assert_eq!((mark.fraction, mark.note.as_deref()), (Some(0.5), Some("half")));
    desk.abort().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_orchestrator_is_left_for_a_new_connection() {
    let mut desk = Desk::connect(completes(), options(1));
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { heartbeat_ms: 2, ..welcome() }));
    assert!(matches!(desk.any().await, FromWorker::Heartbeat(_)));
    desk.clock.forward(7);
    assert!(desk.hello().await.held.is_empty());
    desk.abort().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_beyond_the_orchestrators_limit_is_a_failure_that_says_so() {
    let big = Payload::of(&"x".repeat(100)).unwrap();
    let executor = ScriptedExecutor::new(desk::clock(), move |_| Scripted::completed(big.clone()));
    let mut desk = Desk::connect(Arc::new(executor), options(1));
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { payload_bytes_max: 101, ..welcome() }));
    desk.batch(1, [step(1)]);
    let error = desk.partial().await.outcomes.remove(0).error.unwrap();
    assert_eq!(
        (error.class, error.code.as_deref()),
        (FailureClass::OutputTooLarge, Some("payload_bytes_max"))
    );
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_makes_no_sense_is_rejected_without_running() {
    let scripted = Arc::new(ScriptedExecutor::new(desk::clock(), |_| Scripted::completed(Payload::null())));
    let mut desk = Desk::open(scripted.clone(), options(1)).await;
    let mut foreign = step(1);
    foreign.task.0 += 1;
    desk.batch(1, [foreign]);
    let error = desk.partial().await.outcomes.remove(0).error.unwrap();
    assert_eq!(
        (error.class, error.retryable, error.code.as_deref()),
        (FailureClass::Permanent, false, Some("invalid_step"))
    );
    assert!(scripted.calls().is_empty());
    desk.leave().await;
}

/// Takes no message with more than two outcomes, and no output at all.
struct Narrow(LocalWorkerPort);

#[async_trait]
impl WorkerPort for Narrow {
    async fn recv(&mut self) -> Option<WorkerEvent> {
        self.0.recv().await
    }

    fn send(&mut self, message: FromWorker) -> Result<(), SendError> {
        if let FromWorker::PartialResult(partial) = &message
            && (partial.outcomes.len() > 2 || partial.outcomes.iter().any(|outcome| outcome.output.is_some()))
        {
            return Err(SendError::TooLarge { bytes: 1_000_000, bytes_max: 999_999 });
        }
        self.0.send(message)
    }

    fn reconnect(&mut self) {
        self.0.reconnect();
    }

    fn stats(&self) -> PortStats {
        self.0.stats()
    }

    async fn close(&mut self) {
        self.0.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_in_a_message_is_sent_in_pieces_or_as_a_failure() {
    let options = WorkerOptions { coalesce_ms: 60_000, ..options(1) };
    let mut desk = Desk::through(|port| Box::new(Narrow(port)), completes(), options);
    desk.hello().await;
    desk.say(ToWorker::Welcome(welcome()));
    desk.batch(1, (1..=20).map(step));
    let mut outcomes = Vec::new();
    while outcomes.len() < 20 {
        outcomes.extend(desk.partial().await.outcomes);
    }
    let completion = desk.completion().await;
    assert_eq!((completion.completed, completion.failed), (0, 20));
    let digests: HashMap<_, _> = completion.summaries.iter().map(|line| (line.step, line.digest)).collect();
    for outcome in outcomes {
        assert_eq!(digests[&outcome.step], outcome.digest);
        let error = outcome.error.unwrap();
        assert_eq!(
            (error.class, error.code.as_deref()),
            (FailureClass::OutputTooLarge, Some("message_bytes_max"))
        );
    }
    desk.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_comes_works_and_goes_over_zeromq() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("o.sock");
    let message_bytes_max = 8 << 20;
    let bind = zmq::BindOptions { path: path.clone(), incarnation: "o".into(), message_bytes_max };
    let port = zmq::bind(bind).await.unwrap();
    let end = zmq::connect(zmq::ConnectOptions {
        routes: vec![path].into(),
        incarnation: "inc".into(),
        message_bytes_max,
    })
    .unwrap();
    let mut desk = Desk::at(Box::new(port), Box::new(end), completes(), options(2));
    desk.hello().await;
    desk.say(ToWorker::Welcome(welcome()));
    desk.batch(1, (1..=64).map(step));
    let mut outcomes = 0;
    while outcomes < 64 {
        let partial = desk.partial().await;
        outcomes += partial.outcomes.len();
        desk.acknowledge(&partial, false);
    }
    assert_eq!(desk.completion().await.completed, 64);
    desk.drain.cancel();
    desk.reconciled(1);
    desk.goodbye().await;
    assert_eq!(desk.end().await.unwrap().outcomes_unacknowledged, 0);
}

fn counts(number: u64) -> ToWorker {
    ToWorker::Heartbeat(OrchestratorHeartbeat { peers: Vec::new(), offer: Some(number) })
}

fn nobody() -> News {
    Arc::new(|_| {})
}

/// Whatever the number of links: what one of them was offered before is nobody else's until its orchestrator has said that it
/// counts no more, and until the link holds no more of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_links_together_hold_and_run_no_more_than_their_process_has_room_for() {
    let options = WorkerOptions { credit: 8, credit_bytes: 800, ..options(2) };
    let (gate, permits) = gate();
    let pool = Pool::new(&options);
    let mut first = Desk::sharing(&pool, gate.clone(), options.clone(), nobody());
    let hello = first.hello().await;
    assert_eq!((hello.slots, hello.credit, hello.credit_bytes), (2, 8, 800));
    first.say(ToWorker::Welcome(Welcome { heartbeat_ms: 5, ..welcome() }));
    first.batch(1, (1..=8).map(step));

    let mut second = Desk::sharing(&pool, gate.clone(), options, nobody());
    let hello = second.hello().await;
    assert_eq!((hello.slots, hello.credit, hello.credit_bytes), (1, 0, 0), "the first one has it all");
    second.say(ToWorker::Welcome(Welcome { heartbeat_ms: 5, ..welcome() }));
    let offer = first.heartbeat(|heartbeat| heartbeat.offer.is_some()).await.offer;
    assert_eq!(offer, Some(Offer { number: 1, slots: 1, credit: 4, credit_bytes: 400 }));
    let said_nothing_new = |heartbeat: &WorkerHeartbeat| {
        assert_eq!((heartbeat.offer, heartbeat.credit_free), (None, 0));
        true
    };
    for _ in 0..5 {
        second.heartbeat(said_nothing_new).await;
    }
    first.say(counts(1));
    first.heartbeat(|heartbeat| heartbeat.offer.is_none()).await;
    for _ in 0..5 {
        second.heartbeat(said_nothing_new).await;
    }
    // Four of the first one's eight end, and only then there is room for the second one.
    permits.add_permits(4);
    let offer =
        second.heartbeat(|heartbeat| heartbeat.offer.is_some_and(|offer| offer.credit == 4)).await.offer;
    let number = offer.unwrap().number;
    second.say(counts(number));
    second.batch(2, (11..=14).map(step));
    permits.add_permits(8);
    assert_eq!(first.completion().await.completed, 8);
    assert_eq!(second.completion().await.completed, 4);
    assert_eq!(gate.most_at_once(), 2, "the slots are those of both together");
    // What one of them leaves is the other one's.
    second.leave().await;
    let offer = first.heartbeat(|heartbeat| heartbeat.offer.is_some()).await.offer;
    assert_eq!(offer, Some(Offer { number: 2, slots: 2, credit: 8, credit_bytes: 800 }));
    first.leave().await;
}

/// A new connection begins with what is fair now, whatever was offered on the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_comes_back_offers_its_fair_part_at_once() {
    let options = WorkerOptions { credit: 8, ..options(2) };
    let pool = Pool::new(&options);
    let mut first = Desk::sharing(&pool, completes(), options.clone(), nobody());
    assert_eq!(first.hello().await.credit, 8);
    let mut second = Desk::sharing(&pool, completes(), options, nobody());
    assert_eq!(second.hello().await.credit, 0);
    first.break_connection();
    assert_eq!(first.hello().await.credit, 4);
    second.break_connection();
    assert_eq!(second.hello().await.credit, 4);
    first.leave().await;
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_of_orchestrators_is_handed_on() {
    let (sender, mut heard) = mpsc::unbounded_channel();
    let news: News = Arc::new(move |heard| sender.send(heard).unwrap());
    let options = options(1);
    let mut desk = Desk::sharing(&Pool::new(&options), completes(), options, news);
    let peer = |name: &str| Peer { incarnation: name.to_owned(), endpoints: vec![format!("tcp://{name}:1")] };
    let said = |peers: &[Peer]| Some(Heard { orchestrator: "o".to_owned(), peers: peers.to_vec() });
    desk.hello().await;
    desk.say(ToWorker::Welcome(Welcome { peers: vec![peer("o")], ..welcome() }));
    assert_eq!(heard.recv().await.unwrap(), said(&[peer("o")]));
    desk.say(ToWorker::Heartbeat(OrchestratorHeartbeat::default()));
    let both = vec![peer("o"), peer("p")];
    desk.say(ToWorker::Heartbeat(OrchestratorHeartbeat { peers: both.clone(), offer: None }));
    assert_eq!(heard.recv().await.unwrap(), said(&both), "a heartbeat without news is none");
    desk.break_connection();
    assert_eq!(heard.recv().await.unwrap(), None);
    desk.hello().await;
    desk.leave().await;
}

/// A process that wants components, and the desks of two orchestrators of which only the first has said welcome.
struct Wanting {
    orders: mpsc::Sender<Order>,
    first: Desk,
    second: Desk,
}

impl Wanting {
    async fn new() -> Self {
        let (orders, taken) = mpsc::channel(4);
        let fetches = Fetches::new(taken);
        let mut first = Desk::fetching(&fetches, completes(), options(1));
        let mut second = Desk::fetching(&fetches, completes(), options(1));
        first.hello().await;
        second.hello().await;
        first.say(ToWorker::Welcome(Welcome { heartbeat_ms: 5, ..welcome() }));
        Self { orders, first, second }
    }

    async fn order(&self, digest: Digest) -> oneshot::Receiver<Result<Fetched, String>> {
        let (reply, delivered) = oneshot::channel();
        self.orders.send(Order { digest, reply }).await.unwrap();
        delivered
    }
}

fn part(request: &ComponentRequest, total: u64, bytes: &[u8]) -> ComponentPart {
    let ComponentRequest { digest, offset } = *request;
    let data = ComponentPart::data_of(bytes);
    ComponentPart { digest, offset, total, data, signatures: Vec::new(), missing: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_comes_in_parts_and_the_rest_through_another_link() {
    let wanting = Wanting::new().await;
    let digest = Digest::of(b"component");
    let delivered = wanting.order(digest).await;
    let Wanting { mut first, mut second, .. } = wanting;
    let request = first.request().await;
    assert_eq!(request, ComponentRequest { digest, offset: 0 });
    let signature = wire::Signature { key: "k".to_owned(), signature: "s".to_owned() };
    let begin = ComponentPart { signatures: vec![signature], ..part(&request, 9, b"comp") };
    first.say(ToWorker::ComponentPart(begin.clone()));
    // What is answered late is asked for again meanwhile.
    while first.request().await.offset != 4 {}
    // The same once more, another one's, and silence: it asks for what it lacks.
    first.say(ToWorker::ComponentPart(begin));
    let foreign = ComponentRequest { digest: Digest::of(b"another"), offset: 4 };
    first.say(ToWorker::ComponentPart(part(&foreign, 9, b"onent")));
    assert_eq!(first.request().await, ComponentRequest { digest, offset: 4 });
    first.break_connection();
    second.say(ToWorker::Welcome(welcome()));
    let rest = second.request().await;
    assert_eq!(rest, ComponentRequest { digest, offset: 4 });
    second.say(ToWorker::ComponentPart(part(&rest, 9, b"onent")));
    let fetched = delivered.await.unwrap().unwrap();
    assert_eq!(fetched.bytes, b"component");
    assert_eq!(fetched.signatures, [Signature { key: "k".to_owned(), signature: "s".to_owned() }]);
    second.leave().await;
    first.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_nobody_has_is_asked_for_everywhere() {
    let mut wanting = Wanting::new().await;
    let missing = |request: &ComponentRequest, reason: &str| {
        let part = part(request, 0, b"");
        ToWorker::ComponentPart(ComponentPart { missing: Some(reason.to_owned()), ..part })
    };
    let delivered = wanting.order(Digest::of(b"x")).await;
    let request = wanting.first.request().await;
    wanting.second.say(ToWorker::Welcome(welcome()));
    // An ordinary answer shows that the welcome has arrived.
    wanting.second.batch(1, [step(1)]);
    wanting.second.completion().await;
    wanting.first.say(missing(&request, "not in the north"));
    assert_eq!(wanting.second.request().await, request);
    wanting.second.say(missing(&request, "not in the south"));
    let error = delivered.await.unwrap().unwrap_err();
    assert_eq!(error, "not in the north; not in the south");
    // What makes no sense is an answer too.
    for (total, bytes, expect) in [
        (u64::MAX, &b"x"[..], "it has 18446744073709551615 bytes, the limit is 268435456"),
        (2, &b""[..], "it ends after 0 bytes of 2"),
        (2, &b"xxx"[..], "3 bytes of 2 came"),
    ] {
        wanting.second.break_connection();
        wanting.second.hello().await;
        // A component for each, since what was answered late was asked for again meanwhile.
        let digest = Digest::of(expect.as_bytes());
        let delivered = wanting.order(digest).await;
        let mut request = wanting.first.request().await;
        while request.digest != digest {
            request = wanting.first.request().await;
        }
        wanting.first.say(ToWorker::ComponentPart(part(&request, total, bytes)));
        assert_eq!(delivered.await.unwrap().unwrap_err(), expect);
    }
    wanting.first.leave().await;
    wanting.second.leave().await;
}
