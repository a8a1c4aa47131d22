//! Everything that ever happened to a task, in the order of time: a pure function from the ledger's records to lines.

use std::collections::BTreeMap;

use serde::Serialize;
use stepwright_store::{
    AttemptRecord, AttemptStatus, BatchSummary, NoteKind, NoteRecord, StepRecord, TaskRecord,
};
use stepwright_workflow::{BatchId, Digest, Plan, StepId, Timestamp};

use crate::output::ledger::{changed_by, consequence, how_closed, worker};
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;
use crate::watch::one_line;

/// What was read about a task.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    /// The task and its steps.
    pub(super) record: &'a TaskRecord,
    /// What its steps run.
    pub(super) plan: &'a Plan,
    /// Its recorded attempts.
    pub(super) attempts: &'a [AttemptRecord],
    /// Its notes.
    pub(super) notes: &'a [NoteRecord],
    /// Batches that its steps, attempts or notes name.
    pub(super) batches: &'a [BatchSummary],
    /// Notes that name these batches.
    pub(super) batch_notes: &'a [NoteRecord],
}

/// What a line is about. In the order in which things at the same moment follow from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventKind {
    /// The task was created.
    Created,
    /// An operator did something.
    Operator,
    /// An attempt began: its step was claimed into a batch.
    Claimed,
    /// An attempt completed.
    Completed,
    /// An attempt failed.
    Failed,
    /// An attempt was lost with its worker.
    Lost,
    /// A lease was lost or revoked.
    LeaseLost,
    /// The same outcome or completion came again.
    Duplicate,
    /// An outcome or completion came too late.
    Late,
    /// Something else was reported than what was recorded.
    Discrepancy,
    /// What contradicted itself was put right.
    Repaired,
    /// A batch of the task was closed.
    BatchClosed,
    /// The task settled.
    Settled,
}

/// One line of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Event<'a> {
    pub(super) at: Timestamp,
    pub(super) kind: EventKind,
    pub(super) step: Option<&'a str>,
    pub(super) attempt: Option<u32>,
    pub(super) batch: Option<BatchId>,
    pub(super) worker: Option<&'a str>,
    pub(super) incarnation: Option<&'a str>,
    pub(super) plugin: Option<Digest>,
    /// What happened.
    pub(super) what: String,
    /// What it changed.
    pub(super) changed: String,
}

/// The lines of a task's history, oldest first.
pub(super) fn history<'a>(ledger: &Ledger<'a>) -> Vec<Event<'a>> {
    let mut events = vec![created(ledger.record)];
    events.extend(claims(ledger));
    events.extend(ledger.attempts.iter().map(|attempt| outcome(ledger, attempt)));
    events.extend(ledger.notes.iter().map(|note| noted(ledger, note)));
    let own = |id: Option<BatchId>| ledger.batches.iter().any(|b| Some(b.id) == id && lists(ledger, b));
    let of_batch = ledger.batch_notes.iter().filter(|note| note.step.is_none() && own(note.batch));
    events.extend(of_batch.map(|note| noted(ledger, note)));
    events.extend(ledger.batches.iter().filter(|batch| lists(ledger, batch)).filter_map(closed));
    events.extend(settled(ledger.record));
    events.sort_by_key(order);
    events
}

/// What happened in the same round has the same moment: there, outcomes come before what is claimed next, and a later batch after an
/// earlier one.
fn order(event: &Event<'_>) -> (Timestamp, u8, Option<BatchId>, EventKind) {
    use EventKind as K;
    let (rank, batch) = match event.kind {
        K::Created | K::Operator => (0, None),
        K::Claimed | K::Completed | K::Failed | K::Lost => (1, event.batch),
        _ => (2, None),
    };
    (event.at, rank, batch, event.kind)
}

/// Whether the batch carried a step of the task. A note may name any batch.
fn lists(ledger: &Ledger<'_>, batch: &BatchSummary) -> bool {
    batch.steps.iter().any(|(step, _)| step.task() == ledger.record.summary.id)
}

fn event<'a>(at: Timestamp, kind: EventKind, what: impl Into<String>) -> Event<'a> {
    Event {
        at,
        kind,
        step: None,
        attempt: None,
        batch: None,
        worker: None,
        incarnation: None,
        plugin: None,
        what: what.into(),
        changed: String::new(),
    }
}

/// An event of one attempt, or of one step.
fn of_step<'a>(ledger: &Ledger<'a>, step: StepId, batch: Option<BatchId>, bare: Event<'a>) -> Event<'a> {
    let planned = ledger.plan.step(step.position()).filter(|_| step.task() == ledger.record.summary.id);
    let batch_of = ledger.batches.iter().find(|candidate| Some(candidate.id) == batch);
    Event {
        step: planned.map(|planned| planned.name.as_str()),
        batch,
        worker: batch_of.map(|batch| batch.worker_name.as_str()),
        incarnation: batch_of.map(|batch| batch.incarnation.as_str()),
        plugin: planned.map(|planned| planned.digest),
        ..bare
    }
}

fn created<'a>(record: &TaskRecord) -> Event<'a> {
    let task = &record.summary;
    let key = task.idempotency_key.as_ref().map(|key| format!(" with key {}", one_line(key)));
    let what = format!(
        "created from {}/{}@{}{}",
        task.namespace,
        task.template,
        task.version,
        key.unwrap_or_default()
    );
    let ready = record.steps_detail.iter().filter(|step| step.parents.is_empty());
    let changed = format!("ready: {}", names(ready));
    Event { changed, ..event(task.created_at, EventKind::Created, what) }
}

fn names<'s>(steps: impl Iterator<Item = &'s StepRecord>) -> String {
    steps.map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Each attempt that a batch of the task carried.
fn claims<'a>(ledger: &Ledger<'a>) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    for batch in ledger.batches {
        for (step, attempt) in batch.steps.iter().filter(|(s, _)| s.task() == ledger.record.summary.id) {
            let by = batch.orchestrator.as_deref().unwrap_or("an orchestrator");
            let what = format!("claimed by orchestrator {by}");
            let bare = Event {
                attempt: Some(*attempt),
                changed: "step leased".to_owned(),
                ..event(batch.created_at, EventKind::Claimed, what)
            };
            events.push(of_step(ledger, *step, Some(batch.id), bare));
        }
    }
    events
}

/// A partial result that was applied, or a lost attempt.
fn outcome<'a>(ledger: &Ledger<'a>, attempt: &'a AttemptRecord) -> Event<'a> {
    let took = when::micros(attempt.execution_us);
    let digest = attempt.digest.map(|digest| format!(", digest {}", digest.short())).unwrap_or_default();
    let failure = attempt.failure.as_ref().map(|failure| one_line(&failure.to_string())).unwrap_or_default();
    let (kind, what) = match attempt.status {
        AttemptStatus::Completed => {
            (EventKind::Completed, format!("partial result recorded: completed in {took}{digest}"))
        }
        AttemptStatus::Failed => {
            (EventKind::Failed, format!("partial result recorded: failed in {took}{digest}: {failure}"))
        }
        AttemptStatus::Lost => (EventKind::Lost, failure),
    };
    let bare = Event {
        attempt: Some(attempt.attempt),
        changed: led_to(ledger, attempt),
        ..event(attempt.recorded_at, kind, what)
    };
    of_step(ledger, attempt.step, Some(attempt.batch), bare)
}

/// What an attempt made of its step, and of those that waited for it.
fn led_to(ledger: &Ledger<'_>, attempt: &AttemptRecord) -> String {
    match (attempt.status, attempt.led_to) {
        (AttemptStatus::Completed, _) => {
            let waits = |step: &&StepRecord| step.parents.contains(&attempt.step_name);
            let children: Vec<&StepRecord> = ledger.record.steps_detail.iter().filter(waits).collect();
            match children.as_slice() {
                [] => "step complete".to_owned(),
                children => {
                    format!("step complete; one parent less for {}", names(children.iter().copied()))
                }
            }
        }
        (_, state) => consequence(state, attempt.retry_at),
    }
}

fn noted<'a>(ledger: &Ledger<'a>, note: &'a NoteRecord) -> Event<'a> {
    let kind = match note.kind {
        NoteKind::Late => EventKind::Late,
        NoteKind::Duplicate => EventKind::Duplicate,
        NoteKind::Discrepancy => EventKind::Discrepancy,
        NoteKind::LeaseLost => EventKind::LeaseLost,
        NoteKind::Operator => EventKind::Operator,
        NoteKind::Repaired => EventKind::Repaired,
    };
    let is_it =
        |attempt: &&AttemptRecord| Some(attempt.step) == note.step && Some(attempt.attempt) == note.attempt;
    let lost = ledger.attempts.iter().find(is_it).is_some_and(|it| it.status == AttemptStatus::Lost);
    let bare = Event {
        attempt: note.attempt,
        batch: note.batch,
        changed: changed_by(note, lost).to_owned(),
        ..event(note.at, kind, one_line(&note.detail))
    };
    match note.step {
        Some(step) => of_step(ledger, step, note.batch, bare),
        None => with_worker(ledger, note.batch, bare),
    }
}

fn with_worker<'a>(ledger: &Ledger<'a>, batch: Option<BatchId>, bare: Event<'a>) -> Event<'a> {
    let batch = ledger.batches.iter().find(|candidate| Some(candidate.id) == batch);
    Event {
        worker: batch.map(|batch| batch.worker_name.as_str()),
        incarnation: batch.map(|batch| batch.incarnation.as_str()),
        ..bare
    }
}

fn closed(batch: &BatchSummary) -> Option<Event<'_>> {
    let (at, end) = (batch.closed_at?, batch.end?);
    let bare = Event {
        batch: Some(batch.id),
        worker: Some(&batch.worker_name),
        incarnation: Some(&batch.incarnation),
        changed: "batch closed".to_owned(),
        ..event(at, EventKind::BatchClosed, how_closed(batch, end))
    };
    Some(bare)
}

fn settled<'a>(record: &TaskRecord) -> Option<Event<'a>> {
    let at = record.summary.finished_at?;
    let state = record.summary.state;
    let changed = format!("task {state}");
    Some(Event { changed, ..event(at, EventKind::Settled, "task settled") })
}

/// The lines as a table.
pub(super) fn table(events: &[Event<'_>], paint: Paint) -> String {
    let names = ["WHEN", "STEP", "ATTEMPT", "BATCH", "WORKER", "PLUGIN", "WHAT", "CHANGED"];
    let mut columns = Columns::new(&names).right(&[2, 3]);
    let mut workers: BTreeMap<&str, String> = BTreeMap::new();
    for event in events {
        let worker = match (event.worker, event.incarnation) {
            (Some(name), Some(incarnation)) => {
                workers.entry(incarnation).or_insert_with(|| worker(name, incarnation)).clone()
            }
            _ => String::new(),
        };
        columns.row([
            event.at.into(),
            event.step.unwrap_or_default().into(),
            event.attempt.map(|attempt| attempt.to_string()).unwrap_or_default().into(),
            event.batch.map(|batch| batch.to_string()).unwrap_or_default().into(),
            worker.into(),
            event.plugin.map(|plugin| plugin.short()).unwrap_or_default().into(),
            toned(event.kind, &event.what),
            event.changed.as_str().into(),
        ]);
    }
    columns.render(paint)
}

fn toned(kind: EventKind, what: &str) -> Entry {
    let tone = match kind {
        EventKind::Completed | EventKind::Settled => Tone::Good,
        EventKind::Failed | EventKind::Lost | EventKind::Discrepancy => Tone::Bad,
        EventKind::Claimed => Tone::Busy,
        EventKind::LeaseLost | EventKind::Operator | EventKind::Repaired => Tone::Calm,
        EventKind::Late | EventKind::Duplicate | EventKind::Created | EventKind::BatchClosed => Tone::Faint,
    };
    Entry::toned(tone, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples;
    use stepwright_store::{BatchEnd, Usage};
    use stepwright_workflow::retry::RetryPolicy;
    use stepwright_workflow::step::StepState;
    use stepwright_workflow::task::TaskState;
    use stepwright_workflow::{Failure, FailureClass, Payload, PlanStep, StepLimits, TaskId, WorkerId};

    const TASK: TaskId = TaskId(7);

    fn plan() -> Plan {
        let step = |name: &str, parents: &[u16]| PlanStep {
            name: name.to_owned(),
            plugin: "shop/steps".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            digest: Digest::of(b"component"),
            handler: "run".to_owned(),
            parents: parents.to_vec(),
            config: Payload::null(),
            timeout_ms: 1_000,
            retry: RetryPolicy::default(),
            limits: StepLimits::default(),
        };
        Plan {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: "1.0.0".to_owned(),
            environment: "test".to_owned(),
            input_schema: None,
            steps: vec![step("check", &[]), step("pay", &[0])],
        }
    }

    fn record() -> TaskRecord {
        let steps: [(&str, StepState, &[&str]); 2] =
            [("check", StepState::Complete, &[]), ("pay", StepState::Complete, &["check"])];
        let mut record = samples::task(TASK.0, &steps);
        record.summary.state = TaskState::Complete;
        record.summary.finished_at = Some(Timestamp(900));
        record
    }

    fn batch(id: i64, at: i64, steps: &[(u16, u32)], closed: Option<(i64, BatchEnd)>) -> BatchSummary {
        BatchSummary {
            id: BatchId(id),
            worker: WorkerId(1),
            worker_name: "worker-1".to_owned(),
            incarnation: "0123456789abcdef".to_owned(),
            orchestrator: Some("orc".to_owned()),
            created_at: Timestamp(at),
            completed_at: closed.map(|(at, _)| Timestamp(at)),
            closed_at: closed.map(|(at, _)| Timestamp(at)),
            end: closed.map(|(_, end)| end),
            asked_again: 0,
            steps: steps.iter().map(|(step, attempt)| (StepId::new(TASK, *step), *attempt)).collect(),
        }
    }

    fn attempt(step: u16, attempt: u32, batch: i64, status: AttemptStatus, at: i64) -> AttemptRecord {
        let failure = Failure::new(FailureClass::Retryable, "the till is closed");
        AttemptRecord {
            step: StepId::new(TASK, step),
            step_name: plan().steps[usize::from(step)].name.clone(),
            attempt,
            batch: BatchId(batch),
            worker: WorkerId(1),
            worker_name: "worker-1".to_owned(),
            plugin: Digest::of(b"component"),
            status,
            failure: (status != AttemptStatus::Completed).then_some(failure),
            digest: (status != AttemptStatus::Lost).then(|| Digest::of(b"outcome")),
            started_at: None,
            recorded_at: Timestamp(at),
            execution_us: 1_500,
            cpu_us: 0,
            memory_bytes_peak: 0,
            usage: Usage::default(),
            log: None,
            led_to: None,
            retry_at: None,
        }
    }

    fn note(kind: NoteKind, of: Option<(u16, u32)>, batch: i64, at: i64) -> NoteRecord {
        NoteRecord {
            at: Timestamp(at),
            step: of.map(|(step, _)| StepId::new(TASK, step)),
            batch: Some(BatchId(batch)),
            attempt: of.map(|(_, attempt)| attempt),
            kind,
            detail: "noted".to_owned(),
        }
    }

    fn lines(attempts: &[AttemptRecord], notes: &[NoteRecord], batches: &[BatchSummary]) -> Vec<String> {
        let (record, plan) = (record(), plan());
        let (notes, batch_notes): (Vec<NoteRecord>, Vec<NoteRecord>) =
            notes.iter().cloned().partition(|note| note.step.is_some());
        let ledger = Ledger {
            record: &record,
            plan: &plan,
            attempts,
            notes: &notes,
            batches,
            batch_notes: &batch_notes,
        };
        let line = |event: &Event<'_>| {
            let of = match (event.step, event.attempt, event.batch) {
                (Some(step), Some(attempt), Some(batch)) => format!(" {step}/{attempt} in {batch}"),
                (None, None, Some(batch)) => format!(" batch {batch}"),
                _ => String::new(),
            };
            format!("{}{of}: {} -> {}", event.at.0, event.what, event.changed)
        };
        history(&ledger).iter().map(line).collect()
    }

    #[test]
    fn a_tasks_life_is_told_in_the_order_of_time() {
        let retried = AttemptRecord {
            led_to: Some(StepState::Ready),
            retry_at: Some(Timestamp(300)),
            ..attempt(0, 1, 1, AttemptStatus::Failed, 200)
        };
        let lost =
            AttemptRecord { led_to: Some(StepState::Ready), ..attempt(1, 1, 3, AttemptStatus::Lost, 600) };
        let attempts = [
            retried,
            attempt(0, 2, 2, AttemptStatus::Completed, 400),
            lost,
            attempt(1, 2, 4, AttemptStatus::Completed, 900),
        ];
        let batches = [
            batch(1, 100, &[(0, 1)], Some((210, BatchEnd::Reconciled))),
            BatchSummary { asked_again: 1, ..batch(2, 310, &[(0, 2)], Some((410, BatchEnd::Reconciled))) },
            BatchSummary { completed_at: None, ..batch(3, 400, &[(1, 1)], Some((600, BatchEnd::Lost))) },
            batch(4, 700, &[(1, 2)], None),
        ];
        let notes = [
            note(NoteKind::LeaseLost, None, 3, 600),
            note(NoteKind::Late, Some((1, 1)), 3, 800),
            note(NoteKind::Duplicate, Some((1, 2)), 4, 910),
        ];
        let digest = Digest::of(b"outcome").short();
        assert_eq!(
            lines(&attempts, &notes, &batches),
            [
                "0: created from shop/order@1.0.0 -> ready: check".to_owned(),
                "100 check/1 in 1: claimed by orchestrator orc -> step leased".to_owned(),
                format!(
                    "200 check/1 in 1: partial result recorded: failed in 1.5 ms, digest {digest}: retryable: the till is closed \
                     -> retry scheduled for 1970-01-01T00:00:00.300Z"
                ),
                "210 batch 1: batch completion reconciled: equal to what was recorded -> batch closed".to_owned(),
                "310 check/2 in 2: claimed by orchestrator orc -> step leased".to_owned(),
                format!(
                    "400 check/2 in 2: partial result recorded: completed in 1.5 ms, digest {digest} \
                     -> step complete; one parent less for pay"
                ),
                "400 pay/1 in 3: claimed by orchestrator orc -> step leased".to_owned(),
                "410 batch 2: batch completion reconciled: equal to what was recorded, after one outcome had to be asked for \
                 again -> batch closed"
                    .to_owned(),
                "600 pay/1 in 3: retryable: the till is closed -> step ready again".to_owned(),
                "600 batch 3: noted -> its unreported attempts are lost".to_owned(),
                "600 batch 3: batch lost -> batch closed".to_owned(),
                "700 pay/2 in 4: claimed by orchestrator orc -> step leased".to_owned(),
                "800 pay/1 in 3: noted -> nothing".to_owned(),
                format!(
                    "900 pay/2 in 4: partial result recorded: completed in 1.5 ms, digest {digest} -> step complete"
                ),
                "900: task settled -> task complete".to_owned(),
                "910 pay/2 in 4: noted -> nothing".to_owned(),
            ]
        );
    }

    #[test]
    fn a_discrepancy_says_whether_the_attempt_was_lost_by_it() {
        let attempts =
            [attempt(0, 1, 1, AttemptStatus::Lost, 200), attempt(1, 1, 1, AttemptStatus::Completed, 200)];
        let batches = [batch(1, 100, &[(0, 1), (1, 1)], Some((200, BatchEnd::Discrepancy)))];
        let of = |step| note(NoteKind::Discrepancy, Some((step, 1)), 1, 200);
        let lines = lines(&attempts, &[of(0), of(1)], &batches);
        let changed: Vec<&str> = lines
            .iter()
            .filter(|line| line.contains("noted"))
            .filter_map(|line| line.split(" -> ").nth(1))
            .collect();
        assert_eq!(changed, ["the attempt is lost", "nothing: what was recorded stands"]);
    }

    #[test]
    fn a_batch_that_only_a_note_names_is_not_told() {
        let stranger = BatchSummary {
            steps: vec![(StepId::new(TaskId(8), 0), 1)],
            ..batch(9, 100, &[], Some((200, BatchEnd::Lost)))
        };
        let notes = [note(NoteKind::Late, Some((0, 5)), 9, 300), note(NoteKind::LeaseLost, None, 9, 200)];
        let lines = lines(&[], &notes, &[stranger]);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert_eq!(lines[1], "300 check/5 in 9: noted -> nothing");
    }

    #[test]
    fn a_line_names_the_worker_and_its_incarnation() {
        let (record, plan) = (record(), plan());
        let batches = [batch(4, 700, &[(1, 2)], None)];
        let ledger = Ledger {
            record: &record,
            plan: &plan,
            attempts: &[],
            notes: &[],
            batches: &batches,
            batch_notes: &[],
        };
        let shown = table(&history(&ledger), Paint::PLAIN);
        let claimed = shown.lines().find(|line| line.contains("claimed")).unwrap();
        let digest = Digest::of(b"component").short();
        assert!(claimed.contains("worker-1 (01234567)") && claimed.contains(&digest), "{claimed}");
    }
}
