//! The suite that every port passes.

use stepwright_transport::port::{
    ConnectionId, OrchestratorEvent, OrchestratorPort, SendError, WorkerEvent, WorkerPort,
};
use stepwright_transport::wire::{Drain, FromWorker, Goodbye, ToWorker};

use crate::links::{Gated, Joined, Link, Local, Secured, Zmq};

const WORKERS: usize = 40;

/// Messages that a peer may leave unread.
const BACKLOG: usize = 16_384;

#[allow(clippy::needless_pass_by_value, reason = "numbers and texts alike, at many places")]
pub(crate) fn say(text: impl ToString) -> FromWorker {
    FromWorker::Goodbye(Goodbye { reason: text.to_string() })
}

#[allow(clippy::needless_pass_by_value, reason = "numbers and texts alike, at many places")]
pub(crate) fn tell(text: impl ToString) -> ToWorker {
    ToWorker::Drain(Drain { reason: text.to_string() })
}

/// The next message, whatever connections come and go meanwhile.
pub(crate) async fn heard(port: &mut dyn OrchestratorPort) -> (ConnectionId, String) {
    loop {
        match port.recv().await.expect("the port is open") {
            OrchestratorEvent::Message(from, FromWorker::Goodbye(goodbye)) => return (from, goodbye.reason),
            OrchestratorEvent::Message(_, other) => panic!("nobody sent {other:?}"),
            OrchestratorEvent::Disconnected(_) => {}
        }
    }
}

pub(crate) async fn lost(port: &mut dyn OrchestratorPort) -> ConnectionId {
    match port.recv().await.expect("the port is open") {
        OrchestratorEvent::Disconnected(connection) => connection,
        other => panic!("expected a disconnection, got {other:?}"),
    }
}

pub(crate) async fn told(port: &mut dyn WorkerPort) -> String {
    match port.recv().await.expect("the port is open") {
        WorkerEvent::Message(ToWorker::Drain(drain)) => drain.reason,
        other => panic!("expected a message, got {other:?}"),
    }
}

pub(crate) async fn connected(port: &mut dyn WorkerPort) {
    loop {
        if port.recv().await.expect("the port is open") == WorkerEvent::Connected {
            return;
        }
    }
}

async fn pair(link: &dyn Link) -> (Box<dyn OrchestratorPort>, Box<dyn WorkerPort>, ConnectionId) {
    let mut orchestrator = link.open().await;
    let mut worker = link.connect().await;
    connected(&mut *worker).await;
    worker.send(say("hello")).unwrap();
    let (connection, text) = heard(&mut *orchestrator).await;
    assert_eq!(text, "hello");
    (orchestrator, worker, connection)
}

async fn messages_arrive_in_order_both_ways(link: impl Link) {
    let (mut orchestrator, mut worker, connection) = pair(&link).await;
    for number in 0..500 {
        worker.send(say(number)).unwrap();
        orchestrator.send(connection, tell(number)).unwrap();
    }
    for number in 0..500 {
        assert_eq!(heard(&mut *orchestrator).await, (connection, number.to_string()));
        assert_eq!(told(&mut *worker).await, number.to_string());
    }
    assert_eq!((worker.stats().sent, worker.stats().received), (501, 500));
    assert_eq!((orchestrator.stats().sent, orchestrator.stats().received), (500, 501));
    assert_eq!(worker.stats().bytes_sent, orchestrator.stats().bytes_received);
    assert_eq!(orchestrator.stats().bytes_sent, worker.stats().bytes_received);
    assert_eq!((worker.stats().malformed, orchestrator.stats().malformed), (0, 0));
}

async fn each_worker_gets_its_own_messages(link: impl Link) {
    let mut orchestrator = link.open().await;
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let mut worker = link.connect().await;
        connected(&mut *worker).await;
        worker.send(say(number)).unwrap();
        workers.push(worker);
    }
    let mut connections = std::collections::BTreeSet::new();
    for _ in 0..WORKERS {
        let (connection, number) = heard(&mut *orchestrator).await;
        connections.insert(connection);
        orchestrator.send(connection, tell(format!("to {number}"))).unwrap();
    }
    assert_eq!(connections.len(), WORKERS);
    for (number, worker) in workers.iter_mut().enumerate() {
        assert_eq!(told(&mut **worker).await, format!("to {number}"));
    }
}

async fn a_worker_that_closes_is_reported_after_its_last_message(link: impl Link) {
    let (mut orchestrator, mut worker, connection) = pair(&link).await;
    // More than any socket buffer holds.
    let long = "x".repeat(2_000);
    for _ in 0..3_000 {
        worker.send(say(&long)).unwrap();
    }
    worker.send(say("last")).unwrap();
    worker.close().await;
    for _ in 0..3_000 {
        assert_eq!(heard(&mut *orchestrator).await, (connection, long.clone()));
    }
    assert_eq!(heard(&mut *orchestrator).await, (connection, "last".to_owned()));
    assert_eq!(lost(&mut *orchestrator).await, connection);
    assert_eq!(orchestrator.send(connection, tell("nobody")), Err(SendError::Gone));
    assert_eq!(worker.recv().await, None);
    assert_eq!(worker.send(say("closed")), Err(SendError::Gone));
    orchestrator.close().await;
    assert_eq!(orchestrator.recv().await, None);
}

async fn a_worker_that_reads_nothing_is_cut_off_and_others_are_served(link: impl Link) {
    let (mut orchestrator, mut stalled, connection) = pair(&link).await;
    let mut other = link.connect().await;
    connected(&mut *other).await;
    other.send(say("other")).unwrap();
    let (healthy, _) = heard(&mut *orchestrator).await;
    let taken = (0..).take_while(|number| orchestrator.send(connection, tell(number)).is_ok()).count();
    assert_eq!(taken, BACKLOG);
    assert_eq!(orchestrator.stats().sent, BACKLOG as u64);
    assert_eq!(lost(&mut *orchestrator).await, connection);
    orchestrator.send(healthy, tell("healthy")).unwrap();
    assert_eq!(told(&mut *other).await, "healthy");
    // Once it reads, it finds what was sent, in order, then the end, and then a new beginning.
    let mut next = 0;
    loop {
        match stalled.recv().await.unwrap() {
            WorkerEvent::Message(ToWorker::Drain(drain)) => assert_eq!(drain.reason, next.to_string()),
            WorkerEvent::Disconnected => break,
            event => panic!("nobody sent {event:?}"),
        }
        next += 1;
    }
    connected(&mut *stalled).await;
    stalled.send(say("back")).unwrap();
    assert_eq!(heard(&mut *orchestrator).await.1, "back");
}

async fn an_orchestrator_that_reads_nothing_is_given_up(link: impl Link) {
    let (mut orchestrator, mut worker, first) = pair(&link).await;
    // What was read counts no more for the twin; for ZeroMQ, what was answered.
    orchestrator.send(first, tell("welcome")).unwrap();
    assert_eq!(told(&mut *worker).await, "welcome");
    let taken = (0..).take_while(|number| worker.send(say(number)).is_ok()).count();
    assert_eq!(taken, BACKLOG);
    let mut next = 0;
    while let OrchestratorEvent::Message(from, FromWorker::Goodbye(goodbye)) =
        orchestrator.recv().await.unwrap()
    {
        assert_eq!((from, goodbye.reason), (first, next.to_string()));
        next += 1;
    }
    connected(&mut *worker).await;
    worker.send(say("again")).unwrap();
    assert_eq!(heard(&mut *orchestrator).await.1, "again");
}

async fn a_connection_that_is_cut_is_made_anew(link: impl Link) {
    let (mut orchestrator, mut worker, first) = pair(&link).await;
    worker.send(say("on the way")).unwrap();
    orchestrator.disconnect(first);
    // From here on there is no message of it, only the end.
    assert_eq!(orchestrator.send(first, tell("too late")), Err(SendError::Gone));
    assert_eq!(lost(&mut *orchestrator).await, first);
    connected(&mut *worker).await;
    worker.send(say("again")).unwrap();
    let (second, text) = heard(&mut *orchestrator).await;
    assert_eq!(text, "again");
    assert_ne!(first, second);
    orchestrator.send(second, tell("welcome back")).unwrap();
    assert_eq!(told(&mut *worker).await, "welcome back");
}

async fn a_worker_may_give_its_connection_up(link: impl Link) {
    let (mut orchestrator, mut worker, first) = pair(&link).await;
    worker.reconnect();
    assert_eq!(worker.send(say("too late")), Err(SendError::Gone));
    assert_eq!(lost(&mut *orchestrator).await, first);
    connected(&mut *worker).await;
    worker.send(say("again")).unwrap();
    assert_ne!(heard(&mut *orchestrator).await.0, first);
}

async fn a_restarted_orchestrator_is_found_again(link: impl Link) {
    let (mut orchestrator, mut worker, connection) = pair(&link).await;
    for number in 0..5_000 {
        orchestrator.send(connection, tell(number)).unwrap();
    }
    // What was queued is sent before the end.
    orchestrator.close().await;
    assert_eq!(orchestrator.recv().await, None);
    drop(orchestrator);
    for number in 0..5_000 {
        assert_eq!(told(&mut *worker).await, number.to_string());
    }
    assert_eq!(worker.recv().await, Some(WorkerEvent::Disconnected));
    assert_eq!(worker.send(say("nobody")), Err(SendError::Gone));
    let mut orchestrator = link.open().await;
    connected(&mut *worker).await;
    worker.send(say("here I am")).unwrap();
    assert_eq!(heard(&mut *orchestrator).await.1, "here I am");
}

async fn nothing_is_lost_when_a_receive_is_dropped(link: impl Link) {
    let (mut orchestrator, mut worker, connection) = pair(&link).await;
    let mut next = 0;
    for number in 0..200 {
        worker.send(say(number)).unwrap();
        orchestrator.send(connection, tell(number)).unwrap();
        // Polled once, and dropped if nothing is there yet.
        tokio::select! {
            biased;
            heard = heard(&mut *orchestrator) => {
                assert_eq!(heard.1, next.to_string());
                next += 1;
            }
            () = std::future::ready(()) => {}
        }
    }
    for number in next..200 {
        assert_eq!(heard(&mut *orchestrator).await.1, number.to_string());
    }
    for number in 0..200 {
        assert_eq!(told(&mut *worker).await, number.to_string());
    }
}

macro_rules! suite {
    ($($link:ident: $module:ident,)*) => {$(
        mod $module {
            use super::*;
            each_test!($link: messages_arrive_in_order_both_ways, each_worker_gets_its_own_messages,
                a_worker_that_closes_is_reported_after_its_last_message,
                a_worker_that_reads_nothing_is_cut_off_and_others_are_served,
                an_orchestrator_that_reads_nothing_is_given_up, a_connection_that_is_cut_is_made_anew,
                a_worker_may_give_its_connection_up, a_restarted_orchestrator_is_found_again,
                nothing_is_lost_when_a_receive_is_dropped);
        }
    )*};
}

macro_rules! each_test {
    ($link:ident: $($test:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            super::$test($link::new().await).await;
        }
    )*};
}

suite! { Local: local, Zmq: zmq, Joined: joined, Gated: gated, Secured: secured, }
