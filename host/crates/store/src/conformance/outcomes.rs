//! Outcomes and their fences: what is late, doubled or forged changes nothing.

use stepwright_workflow::step::{StepStanding, StepState};
use stepwright_workflow::{AttemptKey, BatchId, Digest, Failure, FailureClass, StepId, TaskId};

use super::{NOW, SINGLE, World, at, committed, completed, failed, payload, standing};
use crate::{
    AttemptLine, AttemptRecord, AttemptStatus, CompletedAttempt, EndedAttempt, LeasedStep, RunningAttempt,
    Store, Usage,
};

/// All of the line is read back, with the worker and the component that ran.
pub async fn a_completed_attempt_leaves_its_output_and_its_line(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    let line = AttemptLine {
        digest: Some(Digest::of(b"outcome")),
        started_at: Some(at(-20)),
        execution_us: 1_234,
        cpu_us: 567,
        memory_bytes_peak: 1 << 33,
        usage: Usage { bytes_in: 9, http_bytes_in: 1 << 40, ..Usage::default() },
        log: Some(payload("[\"a line\"]")),
    };
    let done = CompletedAttempt { key, output: payload("{\"paid\": true}"), line: line.clone() };
    assert_eq!(committed!(store, complete(&[done], at(7))), [(key, world.plan)]);
    let step = world.step(key.step).await;
    assert_eq!((step.state, step.attempt, step.execution_us), (StepState::Complete, 1, Some(1_234)));
    assert_eq!((step.worker, step.batch, step.failure), (None, None, None));
    assert_eq!(step.output, Some(payload("{\"paid\": true}")));
    let expected = AttemptRecord {
        step: key.step,
        step_name: "s0".to_owned(),
        attempt: 1,
        batch: key.batch,
        worker: world.worker,
        worker_name: "w".to_owned(),
        plugin: Digest::of(b"component"),
        status: AttemptStatus::Completed,
        failure: None,
        digest: line.digest,
        started_at: line.started_at,
        recorded_at: at(7),
        execution_us: line.execution_us,
        cpu_us: line.cpu_us,
        memory_bytes_peak: line.memory_bytes_peak,
        usage: line.usage,
        log: line.log,
        led_to: None,
        retry_at: None,
    };
    assert_eq!(store.attempts(key.step.task()).await.unwrap(), [expected]);
}

/// Neither a completion nor a failure: the first one stands.
pub async fn a_second_outcome_of_the_same_attempt_changes_nothing(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    assert_eq!(committed!(store, complete(&[completed(key, "1")], NOW)).len(), 1);
    let (step, lines) = (world.step(key.step).await, store.attempts(key.step.task()).await.unwrap());
    assert_eq!(committed!(store, complete(&[completed(key, "2")], at(1))), []);
    assert_eq!(committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), None)], at(1))), []);
    assert_eq!(committed!(store, leased(&[key])), []);
    committed!(store, started(&[RunningAttempt { key, fraction: Some(0.1), note: None }]));
    assert_eq!(world.step(key.step).await, step);
    assert_eq!(store.attempts(key.step.task()).await.unwrap(), lines);
}

/// Another attempt, another batch, another step, or one that nobody leased.
pub async fn an_outcome_with_another_key_changes_nothing(store: &dyn Store) {
    let world = World::new(store, &[&[], &[0]]).await;
    let key = world.leased().await;
    let (step, attempt, batch) = (key.step, key.attempt, key.batch);
    let forged = [
        AttemptKey { attempt: 0, ..key },
        AttemptKey { attempt: 2, ..key },
        AttemptKey { batch: BatchId(batch.0 + 1), ..key },
        AttemptKey { step: StepId::new(step.task(), 1), attempt, batch },
        AttemptKey { step: StepId::new(TaskId(9_999), 0), attempt, batch },
        AttemptKey { step: StepId(-1), attempt: u32::MAX, batch: BatchId(i64::MIN) },
    ];
    let before = world.record(step.task()).await;
    for key in forged {
        assert_eq!(committed!(store, complete(&[completed(key, "1")], NOW)), [], "{key:?}");
        assert_eq!(
            committed!(store, end(&[failed(key, standing(StepState::Error, 1, 0), None)], NOW)),
            [],
            "{key:?}"
        );
        assert_eq!(committed!(store, leased(&[key])), [], "{key:?}");
        committed!(store, started(&[RunningAttempt { key, fraction: None, note: Some("here".to_owned()) }]));
        assert_eq!(committed!(store, recorded(&[key])), [], "{key:?}");
    }
    assert_eq!(world.record(step.task()).await, before);
    assert_eq!(store.attempts(step.task()).await.unwrap(), []);
    let standing = standing(StepState::Leased, 0, 0);
    assert_eq!(committed!(store, leased(&[key])), [LeasedStep { key, plan: world.plan, standing }]);
}

/// Good and late ones in one call.
pub async fn of_many_outcomes_only_those_whose_lease_stands_are_applied(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[], &[]]).await;
    world.start().await;
    let keys = world.lease().await;
    committed!(store, complete(&[completed(keys[1], "1")], NOW));
    let late = AttemptKey { attempt: 9, ..keys[2] };
    let outcomes = [
        completed(keys[0], "\"a\""),
        completed(keys[1], "\"b\""),
        completed(late, "\"c\""),
        completed(keys[3], "\"d\""),
    ];
    let mut applied = committed!(store, complete(&outcomes, at(1)));
    applied.sort();
    assert_eq!(applied, [(keys[0], world.plan), (keys[3], world.plan)]);
    let outputs: Vec<_> =
        world.record(keys[0].step.task()).await.steps_detail.into_iter().map(|step| step.output).collect();
    let expected = [Some(payload("\"a\"")), Some(payload("1")), None, Some(payload("\"d\""))];
    assert_eq!(outputs, expected);
    assert_eq!(store.attempts(keys[0].step.task()).await.unwrap().len(), 3);
}

/// The first attempt's outcome comes when the second is leased.
pub async fn an_outcome_after_a_retry_began_is_late(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let first = world.leased().await;
    committed!(store, end(&[failed(first, standing(StepState::Ready, 1, 0), None)], NOW));
    assert_eq!(committed!(store, complete(&[completed(first, "1")], at(1))), []);
    let second = world.lease().await[0];
    assert_eq!((second.step, second.attempt), (first.step, 2));
    assert_eq!(committed!(store, complete(&[completed(first, "1")], at(1))), []);
    let mixed = AttemptKey { batch: first.batch, ..second };
    assert_eq!(committed!(store, complete(&[completed(mixed, "1")], at(1))), []);
    assert_eq!(committed!(store, complete(&[completed(second, "2")], at(2))), [(second, world.plan)]);
    let lines = store.attempts(first.step.task()).await.unwrap();
    let found: Vec<_> = lines.iter().map(|line| (line.attempt, line.batch, line.status)).collect();
    assert_eq!(found, [(1, first.batch, AttemptStatus::Failed), (2, second.batch, AttemptStatus::Completed)]);
}

/// A later sign of life without a figure keeps the one before.
pub async fn a_running_attempt_shows_its_progress_until_it_ends(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    committed!(
        store,
        started(&[RunningAttempt { key, fraction: Some(0.25), note: Some("half of half".to_owned()) }])
    );
    let step = world.step(key.step).await;
    assert_eq!(
        (step.state, step.progress, step.note.as_deref()),
        (StepState::InProgress, Some(0.25), Some("half of half"))
    );
    assert_eq!((step.worker.as_deref(), step.batch), (Some("w"), Some(key.batch)));
    committed!(store, started(&[RunningAttempt { key, fraction: None, note: None }]));
    assert_eq!(world.step(key.step).await.progress, Some(0.25));
    let standing = standing(StepState::InProgress, 0, 0);
    assert_eq!(committed!(store, leased(&[key])), [LeasedStep { key, plan: world.plan, standing }]);
    assert_eq!(committed!(store, complete(&[completed(key, "1")], NOW)).len(), 1);
    let step = world.step(key.step).await;
    assert_eq!((step.state, step.progress, step.note), (StepState::Complete, None, None));
}

/// It shows while the next attempt is leased too.
pub async fn a_failed_attempt_keeps_its_reason_until_the_step_finishes_well(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let first = world.leased().await;
    let mut ended = failed(first, standing(StepState::Ready, 1, 0), None);
    ended.failure = Failure::new(FailureClass::Timeout, "slower than \u{0}'1 s'").with_code("timeout");
    ended.failure.details = Some(payload("{ \"limit\": 1.0 }"));
    ended.line.execution_us = 99;
    let failure = ended.failure.clone();
    assert_eq!(committed!(store, end(&[ended], at(1))), [first]);
    let step = world.step(first.step).await;
    assert_eq!(
        (step.state, step.failures, step.losses, step.execution_us),
        (StepState::Ready, 1, 0, Some(99))
    );
    assert_eq!(step.failure, Some(failure.clone()));
    let second = world.lease().await[0];
    assert_eq!(world.step(first.step).await.failure, Some(failure.clone()));
    committed!(store, end(&[failed(second, standing(StepState::Error, 2, 0), None)], at(2)));
    let step = world.step(first.step).await;
    assert_eq!((step.state, step.failures), (StepState::Error, 2));
    assert_eq!(step.failure.unwrap().message, "the till is closed");
    assert_eq!(world.record(first.step.task()).await.summary.steps_in_error, 1);
    assert_eq!(store.attempts(first.step.task()).await.unwrap()[0].failure, Some(failure));
}

/// Its line has no digest.
pub async fn a_lost_attempt_counts_as_a_loss(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    let lost = EndedAttempt {
        key,
        to: StepStanding { state: StepState::Ready, failures: 0, losses: 1 },
        ready_at: None,
        status: AttemptStatus::Lost,
        failure: Failure::new(FailureClass::Lost, "its worker vanished"),
        line: AttemptLine::default(),
    };
    assert_eq!(committed!(store, end(&[lost], NOW)), [key]);
    let step = world.step(key.step).await;
    assert_eq!((step.state, step.attempt, step.failures, step.losses), (StepState::Ready, 1, 0, 1));
    let lines = store.attempts(key.step.task()).await.unwrap();
    assert_eq!((lines[0].status, lines[0].digest, lines[0].started_at), (AttemptStatus::Lost, None, None));
    assert_eq!(committed!(store, recorded(&[key])), [(key, None)]);
}

/// By the whole key; attempts that did not end are left out.
pub async fn the_ledger_answers_with_the_digests_of_recorded_attempts(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[]]).await;
    world.start().await;
    let keys = world.lease().await;
    let (good, bad) = (completed(keys[0], "1"), failed(keys[1], standing(StepState::Error, 1, 0), None));
    let expected = [(keys[0], good.line.digest), (keys[1], bad.line.digest)];
    committed!(store, complete(&[good], NOW));
    committed!(store, end(&[bad], NOW));
    let mut asked = keys.clone();
    asked.push(AttemptKey { batch: BatchId(9_999), ..keys[0] });
    asked.push(AttemptKey { attempt: 2, ..keys[1] });
    let mut found = committed!(store, recorded(&asked));
    found.sort();
    assert_eq!(found, expected);
}
