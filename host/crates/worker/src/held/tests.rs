use proptest::prelude::*;
use stepwright_transport::wire::Receipt;
use stepwright_workflow::{Outcome, Payload, TaskId, Timestamp};

use super::*;

fn outcome(position: u16, output: &str) -> StepOutcome {
    let task = TaskId(1);
    let output = Payload::of(output).unwrap();
    StepOutcome {
        task,
        step: StepId::new(task, position),
        attempt: 1,
        status: OutcomeStatus::Completed,
        digest: Outcome::Completed { output: output.clone() }.digest(),
        output: Some(output),
        error: None,
        started_at: Timestamp(0),
        execution_us: 0,
        receipt: Receipt::default(),
        log: Vec::new(),
    }
}

fn pair(position: u16) -> Pair {
    (StepId::new(TaskId(1), position), 1)
}

fn key(batch: BatchId, position: u16) -> AttemptKey {
    AttemptKey { step: pair(position).0, attempt: 1, batch }
}

fn holding(steps: u16) -> Held {
    let mut held = Held::default();
    held.take(BatchId(1), (0..steps).map(pair)).unwrap();
    held
}

fn carried(message: Option<FromWorker>) -> Vec<u16> {
    match message {
        Some(FromWorker::PartialResult(partial)) => {
            partial.outcomes.iter().map(|o| o.step.position()).collect()
        }
        other => panic!("expected outcomes, got {other:?}"),
    }
}

#[test]
fn what_nobody_answers_is_sent_again_ever_more_rarely() {
    let mut held = holding(1);
    held.ended(key(BatchId(1), 0), outcome(0, ""));
    let mut sent_at = Vec::new();
    for beat in 0..150 {
        while held.is_waiting() {
            if let Some(FromWorker::PartialResult(_)) = held.next_message(4_000) {
                sent_at.push(beat);
            }
        }
        held.beat();
    }
    assert_eq!(sent_at, [0, 7, 21, 49, 105]);
    held.acknowledged(&Ack { outcomes: vec![key(BatchId(1), 0)], reconciled: vec![BatchId(1)] });
    assert!((0..200).all(|_| held.beat().is_empty()));
}

#[test]
fn messages_are_split_by_weight_and_a_heavy_outcome_travels_alone() {
    let mut held = holding(4);
    let heavy = "x".repeat(10_000);
    for (position, output) in [(0, ""), (1, heavy.as_str()), (2, ""), (3, "")] {
        held.ended(key(BatchId(1), position), outcome(position, output));
    }
    let sent: Vec<_> = (0..3).map(|_| carried(held.next_message(4_000))).collect();
    assert_eq!(sent, [vec![0], vec![1], vec![2, 3]]);
    assert!(matches!(held.next_message(4_000), Some(FromWorker::BatchCompletion(_))));
    assert_eq!(held.next_message(4_000), None);
}

#[test]
fn an_acknowledgement_that_crosses_with_a_second_sending_ends_it() {
    let mut held = holding(2);
    held.ended(key(BatchId(1), 0), outcome(0, ""));
    assert_eq!(carried(held.next_message(4_000)), [0]);
    held.send_again(key(BatchId(1), 0));
    held.acknowledged(&Ack { outcomes: vec![key(BatchId(1), 0)], reconciled: Vec::new() });
    // One step of the batch has not ended: there must be neither an empty message nor a completion.
    assert_eq!((held.next_message(4_000), held.unsent(), held.is_waiting()), (None, 0, false));
}

#[test]
fn a_batch_without_steps_is_only_completed() {
    let mut held = holding(0);
    assert!(held.has_ended_batch());
    let Some(FromWorker::BatchCompletion(completion)) = held.next_message(1) else {
        panic!("expected a completion")
    };
    assert_eq!(completion.summaries, []);
}

#[test]
fn what_is_given_back_is_not_listed() {
    let mut held = holding(2);
    held.give_back(key(BatchId(1), 0));
    held.ended(key(BatchId(1), 1), outcome(1, ""));
    assert_eq!(carried(held.next_message(4_000)), [1]);
    let Some(FromWorker::BatchCompletion(completion)) = held.next_message(1) else {
        panic!("expected a completion")
    };
    assert_eq!(completion.summaries.iter().map(|line| line.step).collect::<Vec<_>>(), [pair(1).0]);
}

/// What happens to a worker, with two small numbers to choose by.
#[derive(Debug, Clone)]
enum Happening {
    Batch(u8),
    End(u8),
    GiveBack(u8),
    Send,
    Acknowledge,
    Resend(u8),
    Break,
    BreakAndForget(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0_u8..5).prop_map(Happening::Batch),
        8 => any::<u8>().prop_map(Happening::End),
        1 => any::<u8>().prop_map(Happening::GiveBack),
        4 => Just(Happening::Send),
        3 => Just(Happening::Acknowledge),
        1 => any::<u8>().prop_map(Happening::Resend),
        1 => Just(Happening::Break),
        1 => any::<u8>().prop_map(Happening::BreakAndForget),
    ]
}

/// An orchestrator that records at once what arrives, and acknowledges when it is asked to.
#[derive(Default)]
struct Ledger {
    open: BTreeMap<BatchId, HashSet<Pair>>,
    recorded: HashMap<AttemptKey, stepwright_workflow::Digest>,
    ack: Ack,
}

impl Ledger {
    fn arrive(&mut self, message: FromWorker, connection: &mut HashSet<BatchId>) {
        match message {
            FromWorker::PartialResult(partial) => {
                assert!(!partial.outcomes.is_empty());
                for outcome in partial.outcomes {
                    let key =
                        AttemptKey { step: outcome.step, attempt: outcome.attempt, batch: partial.batch };
                    let recorded = self.recorded.entry(key).or_insert(outcome.digest);
                    assert_eq!(*recorded, outcome.digest);
                    self.ack.outcomes.push(key);
                }
            }
            FromWorker::BatchCompletion(completion) => {
                let batch = completion.batch;
                assert!(connection.insert(batch), "a completion came twice on one connection");
                for line in completion.summaries {
                    let key = AttemptKey { step: line.step, attempt: line.attempt, batch };
                    assert_eq!(
                        self.recorded.get(&key),
                        Some(&line.digest),
                        "a completion overtook an outcome"
                    );
                }
                self.ack.reconciled.push(batch);
            }
            other => panic!("{other:?}"),
        }
    }

    fn acknowledge(&mut self, held: &mut Held) {
        for batch in &self.ack.reconciled {
            self.open.remove(batch);
        }
        held.acknowledged(&std::mem::take(&mut self.ack));
    }
}

/// The one of the unfinished attempts that a number chooses.
fn chosen(running: &BTreeSet<AttemptKey>, number: u8) -> Option<AttemptKey> {
    running.iter().nth(usize::from(number) % running.len().max(1)).copied()
}

proptest! {
    /// Whatever breaks in between, every outcome is recorded, no completion overtakes one, and in the end nothing is held.
    #[test]
    fn everything_is_acknowledged_in_the_end(happenings in proptest::collection::vec(happening(), 0..120)) {
        let (mut held, mut ledger) = (Held::default(), Ledger::default());
        let mut running: BTreeSet<AttemptKey> = BTreeSet::new();
        let mut connection = HashSet::new();
        let mut batches = 0;
        for happening in happenings {
            match happening {
                Happening::Batch(steps) => {
                    batches += 1;
                    let batch = BatchId(batches);
                    let fresh = held.take(batch, (0..u16::from(steps)).map(pair)).unwrap();
                    running.extend(fresh.iter().map(|(step, attempt)| AttemptKey { step: *step, attempt: *attempt, batch }));
                    ledger.open.insert(batch, fresh);
                    prop_assert!(held.take(batch, std::iter::empty()).is_none());
                }
                Happening::End(number) => if let Some(key) = chosen(&running, number) {
                    running.remove(&key);
                    held.ended(key, outcome(key.step.position(), "done"));
                },
                Happening::GiveBack(number) => if let Some(key) = chosen(&running, number) {
                    running.remove(&key);
                    held.give_back(key);
                },
                Happening::Send => if let Some(message) = held.next_message(3_000) {
                    ledger.arrive(message, &mut connection);
                },
                Happening::Acknowledge => ledger.acknowledge(&mut held),
                Happening::Resend(position) => {
                    if let Some(batch) = ledger.open.keys().next() {
                        held.send_again(key(*batch, u16::from(position) % 5));
                    }
                }
                Happening::Break => {
                    ledger.ack = Ack::default();
                    connection.clear();
                    held.rewind();
                }
                Happening::BreakAndForget(number) => {
                    ledger.ack = Ack::default();
                    connection.clear();
                    held.rewind();
                    let forgotten = BatchId(i64::from(number) % batches.max(1) + 1);
                    let kept: Vec<BatchId> = held.batches().into_iter().filter(|batch| *batch != forgotten).collect();
                    for dropped in held.keep(&kept) {
                        running.retain(|key| key.batch != dropped);
                        ledger.open.remove(&dropped);
                    }
                }
            }
            prop_assert_eq!(held.steps_left(), running.len());
            prop_assert_eq!(held.unsent(), held.batches.values().map(|held| held.unsent.len()).sum::<usize>());
            let telling = held.batches.iter().filter(|(_, held)| held.has_something_to_say()).map(|(batch, _)| *batch);
            prop_assert_eq!(&held.waiting, &telling.collect::<BTreeSet<_>>());
        }
        held.rewind();
        connection.clear();
        for key in running {
            held.ended(key, outcome(key.step.position(), "done"));
        }
        while let Some(message) = held.next_message(3_000) {
            ledger.arrive(message, &mut connection);
        }
        ledger.acknowledge(&mut held);
        prop_assert!(held.is_settled() && held.batches().is_empty() && held.unacknowledged().is_empty());
        prop_assert!(ledger.open.is_empty());
    }
}
