//! What comes in from workers and from the handle, sorted into the next round's input.

use stepwright_store::{RunningAttempt, WorkerState};
use stepwright_transport::port::{ConnectionId, OrchestratorEvent};
use stepwright_transport::wire::{
    FromWorker, Hello, PROTOCOL_VERSION, PartialResult, Refuse, ToWorker, WorkerHeartbeat,
};
use stepwright_workflow::{AttemptKey, WorkerId};

use super::Orchestrator;
use crate::handle::Command;

/// External handlers of one worker: each is a queue to look into at every claim.
const EXTERNAL_HANDLERS_MAX: usize = 256;

impl Orchestrator {
    pub(super) fn take_event(&mut self, event: OrchestratorEvent) {
        match event {
            OrchestratorEvent::Message(connection, FromWorker::Hello(hello)) => self.hello(connection, hello),
            OrchestratorEvent::Message(connection, message) => {
                let Some(worker) = self.sessions.worker(connection) else {
                    return self.stranger(connection);
                };
                let now = self.clock.now();
                if let Some(session) = self.sessions.get_mut(worker) {
                    session.heard_at = now;
                }
                match message {
                    FromWorker::ComponentRequest(request) => self.desk.ask(connection, request),
                    message => self.take_message(worker, message),
                }
            }
            OrchestratorEvent::Disconnected(connection) => self.disconnected(connection),
        }
    }

    fn take_message(&mut self, worker: WorkerId, message: FromWorker) {
        match message {
            FromWorker::PartialResult(partial) => self.partial(worker, partial),
            FromWorker::BatchCompletion(completion) => self.gathered.completions.push((worker, completion)),
            FromWorker::Heartbeat(heartbeat) => self.heartbeat(worker, &heartbeat),
            FromWorker::Goodbye(_) => {
                self.sessions.remove(worker);
                self.gathered.leaves.push((worker, WorkerState::Left));
            }
            FromWorker::Hello(_) | FromWorker::ComponentRequest(_) => {}
        }
    }

    fn hello(&mut self, connection: ConnectionId, hello: Hello) {
        if !hello.versions.contains(&PROTOCOL_VERSION) {
            let reason = format!(
                "this orchestrator speaks protocol version {PROTOCOL_VERSION}, the worker '{}' speaks {:?}; \
                 upgrade the older of the two",
                hello.name, hello.versions
            );
            return self.refuse(connection, reason);
        }
        let offered = hello.serves.external.len();
        if offered > EXTERNAL_HANDLERS_MAX {
            let reason = format!(
                "the worker '{}' offers {offered} external handlers; at most {EXTERNAL_HANDLERS_MAX} are taken: \
                 let several workers share them",
                hello.name
            );
            return self.refuse(connection, reason);
        }
        self.greeting.push(connection);
        self.gathered.joins.push((connection, hello));
    }

    /// A message before a hello was welcomed: ordinary while the round that welcomes it commits, otherwise an error.
    fn stranger(&mut self, connection: ConnectionId) {
        if !self.greeting.contains(&connection) {
            self.refuse(connection, "the first message of a connection must be 'hello'".to_owned());
        }
    }

    fn refuse(&mut self, connection: ConnectionId, reason: String) {
        tracing::warn!(connection = connection.0, reason, "refused a peer");
        self.send(connection, ToWorker::Refuse(Refuse { reason }));
        self.port.disconnect(connection);
    }

    fn partial(&mut self, worker: WorkerId, partial: PartialResult) {
        let batch = partial.batch;
        if let Some(session) = self.sessions.get_mut(worker) {
            for outcome in &partial.outcomes {
                session.ended(AttemptKey { step: outcome.step, attempt: outcome.attempt, batch });
            }
            // Which handlers still have steps is not remembered; the queue of each says it.
            self.gathered.look.external |= !partial.outcomes.is_empty() && session.serves_external();
        }
        self.gathered.look.claim |= !partial.outcomes.is_empty() && self.more;
        self.gathered.reporters.extend(partial.outcomes.iter().map(|_| worker));
        self.gathered.outcomes.extend(partial.outcomes.into_iter().map(|outcome| (batch, outcome)));
        self.gathered.running.extend(partial.running.into_iter().map(|running| RunningAttempt {
            key: AttemptKey { step: running.step, attempt: running.attempt, batch },
            fraction: running.fraction,
            note: running.note,
        }));
    }

    fn heartbeat(&mut self, worker: WorkerId, heartbeat: &WorkerHeartbeat) {
        let now = self.clock.now();
        let lease = self.options.lease();
        let Some(session) = self.sessions.get_mut(worker) else { return };
        for batch in session.compare(&heartbeat.held, heartbeat.latest, now, lease) {
            session.forget(batch);
            self.gathered.lost.push(batch);
        }
        session.draining = heartbeat.draining;
        if let Some(offer) = &heartbeat.offer {
            let grown = session.offered(offer);
            self.gathered.look.claim |= grown;
            self.gathered.look.external |= grown;
            self.offered(worker, offer.number);
        }
        // It leaves once its books are closed.
        self.gathered.look.completions |= heartbeat.draining;
    }

    fn disconnected(&mut self, connection: ConnectionId) {
        self.greeting.retain(|greeting| *greeting != connection);
        self.gathered.joins.retain(|(joining, _)| *joining != connection);
        if let Some(worker) = self.sessions.disconnected(connection) {
            // The worker may be back in a moment with its outcomes; but it has less time than a silent one.
            let grace = std::time::Duration::from_millis(self.options.reconnect_grace_ms);
            self.gathered.shortened.push((worker, self.clock.now().after(grace)));
        }
    }

    pub(super) fn take_command(&mut self, command: Command) {
        match command {
            Command::Wake => {
                self.gathered.look.claim = true;
                self.gathered.look.external = true;
                self.gathered.look.timers = true;
                self.gathered.look.cancelled = true;
                self.peers.wanted = true;
                self.feed.nudge();
            }
            Command::Start(tasks, reply) => {
                self.gathered.starts.push(tasks);
                self.replies.push(reply);
            }
            Command::Settled(task, waiter) => {
                self.waiters.entry(task).or_default().push(waiter.settled);
                // Whoever asked may have stopped waiting already.
                let _ = waiter.noted.send(());
            }
        }
    }
}
