//! What an operator asks of the ledger afterwards: batches, their attempts, and what was noted about them.

use stepwright_workflow::step::StepState;
use stepwright_workflow::{BatchId, Digest, StepId, TaskId};

use super::{DIAMOND, NOW, SINGLE, World, at, committed, completed, failed, standing, worker};
use crate::{
    AttemptStatus, BatchEnd, BatchFilter, BatchState, ClosedBatch, Discrepancies, NewBatch, NewNote,
    NoteKind, Store, Usage,
};

fn everything() -> BatchFilter {
    BatchFilter { limit: 100, ..BatchFilter::default() }
}

fn note(batch: Option<BatchId>, task: Option<TaskId>, kind: NoteKind, detail: &str) -> NewNote {
    NewNote { step: None, task, batch, attempt: None, kind, detail: detail.to_owned() }
}

/// Who got it and from whom, when its completion came, and how it ended.
pub async fn a_batch_keeps_who_made_it_who_got_it_and_how_it_ended(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    let open = store.batches(&everything()).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].id, open[0].worker, open[0].created_at), (key.batch, world.worker, NOW));
    assert_eq!((open[0].worker_name.as_str(), open[0].incarnation.as_str()), ("w", "w-1"));
    assert_eq!((open[0].orchestrator.as_deref(), &open[0].steps), (Some("o"), &vec![(key.step, 1)]));
    assert_eq!((open[0].completed_at, open[0].closed_at, open[0].end), (None, None, None));
    // The worker goes over to another orchestrator, and the batch keeps the one that made it.
    let mut moved = worker("w", "w-1");
    moved.orchestrator = "other".to_owned();
    committed!(store, join(&moved, at(10_000), at(1)));
    let end = BatchEnd::Discrepancy;
    let closing = ClosedBatch { batch: key.batch, end, completed_at: Some(at(3)), asked_again: 2 };
    committed!(store, close_batches(&[closing], at(5)));
    let closed = store.batches(&everything()).await.unwrap().remove(0);
    assert_eq!((closed.completed_at, closed.closed_at, closed.end), (Some(at(3)), Some(at(5)), Some(end)));
    assert_eq!((closed.asked_again, closed.orchestrator.as_deref()), (2, Some("o")));
}

/// By worker, state and age, newest first, page by page.
pub async fn batches_are_listed_by_filter_and_page(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let other = committed!(store, join(&worker("x", "x-1"), at(10_000), NOW));
    let mut ids = Vec::new();
    for (number, worker) in (0..).zip([world.worker, other, world.worker, other]) {
        let task = world.start().await;
        let batch = NewBatch { worker, steps: vec![(StepId::new(task, 0), 1)] };
        ids.extend(committed!(store, lease(&[batch], "o", at(number))));
    }
    for (at_ms, (batch, end)) in (10..).zip([
        (ids[0], BatchEnd::Reconciled),
        (ids[1], BatchEnd::Discrepancy),
        (ids[2], BatchEnd::Lost),
    ]) {
        committed!(store, close_batches(&[ClosedBatch::without_completion(batch, end)], at(at_ms)));
    }
    let named = |name: &str| BatchFilter { worker: Some(name.to_owned()), ..everything() };
    let standing = |state| BatchFilter { state: Some(state), ..everything() };
    let check = async |filter: BatchFilter, expected: &[usize]| {
        let found: Vec<BatchId> =
            store.batches(&filter).await.unwrap().into_iter().map(|batch| batch.id).collect();
        assert_eq!(found, expected.iter().map(|at| ids[*at]).collect::<Vec<_>>(), "{filter:?}");
    };
    check(everything(), &[3, 2, 1, 0]).await;
    check(named("w"), &[2, 0]).await;
    check(named("nobody"), &[]).await;
    check(standing(BatchState::Open), &[3]).await;
    check(standing(BatchState::Reconciled), &[0]).await;
    check(standing(BatchState::Discrepancy), &[1]).await;
    check(standing(BatchState::Lost), &[2]).await;
    check(BatchFilter { since: Some(at(2)), ..everything() }, &[3, 2]).await;
    check(BatchFilter { limit: 2, ..everything() }, &[3, 2]).await;
    check(BatchFilter { before: Some(ids[2]), ..everything() }, &[1, 0]).await;
}

/// Each attempt with what it ran, what came of it and what that made of the step.
pub async fn a_batch_is_read_with_its_attempts_and_notes(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[]]).await;
    let task = world.start().await;
    let keys = world.lease().await;
    assert_eq!(store.batch(BatchId(9_999)).await.unwrap(), None);
    committed!(store, complete(&[completed(keys[0], "1")], at(1)));
    let retry = failed(keys[1], standing(StepState::Ready, 1, 0), Some(at(500)));
    committed!(store, end(&[retry], at(2)));
    let notes = [
        note(Some(keys[0].batch), None, NoteKind::LeaseLost, "the batch was lost"),
        note(Some(keys[0].batch), Some(task), NoteKind::Late, "late"),
        note(Some(BatchId(9_999)), Some(task), NoteKind::Late, "another batch"),
    ];
    committed!(store, note(&notes, at(3)));
    let record = store.batch(keys[0].batch).await.unwrap().unwrap();
    let steps = &record.steps_detail;
    let named: Vec<_> = steps.iter().map(|step| (step.step, step.task, step.attempt)).collect();
    assert_eq!(named, keys.iter().map(|key| (key.step, task, 1)).collect::<Vec<_>>());
    let planned = steps[2].planned.as_ref().unwrap();
    assert_eq!((planned.name.as_str(), planned.plugin.as_str()), ("s2", "shop/steps"));
    assert_eq!((planned.plugin_version.as_str(), planned.plugin_digest), ("1.0.0", Digest::of(b"component")));
    let ended: Vec<_> = steps.iter().map(|step| (step.status, step.recorded_at, step.led_to)).collect();
    assert_eq!(ended[0], (Some(AttemptStatus::Completed), Some(at(1)), None));
    assert_eq!(ended[1], (Some(AttemptStatus::Failed), Some(at(2)), Some(StepState::Ready)));
    assert_eq!(ended[2], (None, None, None));
    assert_eq!((steps[1].retry_at, steps[0].retry_at), (Some(at(500)), None));
    assert!(steps[1].failure.is_some() && steps[0].failure.is_none());
    let told: Vec<&str> = record.notes.iter().map(|note| note.detail.as_str()).collect();
    assert_eq!(told, ["the batch was lost", "late"]);
    // The task's own lines say the same.
    let lines = store.attempts(task).await.unwrap();
    assert_eq!((lines[1].led_to, lines[1].retry_at), (Some(StepState::Ready), Some(at(500))));
    assert_eq!((lines[0].led_to, lines[0].retry_at), (None, None));
}

/// Of finished attempts, of the one that runs, and of those that only a note names.
pub async fn a_tasks_batches_are_found_by_steps_attempts_and_notes(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start().await;
    let first = world.lease().await[0];
    committed!(store, end(&[failed(first, standing(StepState::Ready, 1, 0), None)], at(1)));
    let second = world.lease().await[0];
    let stranger = world.leased().await;
    let of = async |task| -> Vec<BatchId> {
        store.batches_of(task).await.unwrap().into_iter().map(|batch| batch.id).collect()
    };
    assert_eq!(of(task).await, [first.batch, second.batch]);
    let named = note(Some(stranger.batch), Some(task), NoteKind::Late, "a forged batch");
    committed!(store, note(&[named], at(2)));
    assert_eq!(of(task).await, [first.batch, second.batch, stranger.batch]);
    assert_eq!(of(TaskId(9_999)).await, []);
    let told = store.batch_notes(&[first.batch, stranger.batch]).await.unwrap();
    assert_eq!(told.iter().map(|note| note.batch).collect::<Vec<_>>(), [Some(stranger.batch)]);
    assert_eq!(store.batch_notes(&[]).await.unwrap(), []);
}

/// And nothing else is.
pub async fn discrepancies_are_counted(store: &dyn Store) {
    assert_eq!(store.discrepancies().await.unwrap(), Discrepancies::default());
    let world = World::new(store, SINGLE).await;
    let task = world.start().await;
    let of = |kind| note(None, Some(task), kind, "");
    let notes = [of(NoteKind::Discrepancy), of(NoteKind::Late), of(NoteKind::Discrepancy)];
    committed!(store, note(&notes, at(4)));
    let expected = Discrepancies { count: 2, last_at: Some(at(4)) };
    assert_eq!(store.discrepancies().await.unwrap(), expected);
}

/// Every attempt once, whatever the page's size, with what it used.
pub async fn receipts_come_newest_first_page_by_page(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    assert_eq!(store.receipts(None, 10).await.unwrap(), []);
    let usage = Usage { bytes_in: 7, http_calls: 3, ..Usage::default() };
    let key = world.leased().await;
    let mut again = failed(key, standing(StepState::Ready, 1, 0), None);
    again.line.usage = usage;
    committed!(store, end(&[again], NOW));
    let second = world.leased().await;
    committed!(store, complete(&[completed(second, "1")], NOW));
    let all = store.receipts(None, 10).await.unwrap();
    let seen: Vec<_> = all.iter().map(|it| (it.step, it.attempt, it.status, it.usage, it.plan)).collect();
    let expected = [
        (second.step, 1, AttemptStatus::Completed, Usage::default(), world.plan),
        (key.step, 1, AttemptStatus::Failed, usage, world.plan),
    ];
    assert_eq!(seen, expected);
    let first = store.receipts(None, 1).await.unwrap();
    assert_eq!(first, all[..1]);
    assert_eq!(store.receipts(Some((first[0].step, first[0].attempt)), 10).await.unwrap(), all[1..]);
}
