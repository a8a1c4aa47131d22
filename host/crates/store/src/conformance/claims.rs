//! Claiming steps, batches, notes, and what it all costs.

use std::sync::Arc;

use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{AttemptKey, BatchId, StepId, TaskId, WorkerId};

use super::{
    DIAMOND, NOW, SINGLE, World, at, closed, committed, completed, failed, payload, standing, worker,
};
use crate::{
    BatchEnd, NewBatch, NewNote, NewTask, NoteKind, NoteRecord, OpenBatch, Round, RunningAttempt, StepChange,
    Store, StoreError, WorkerState,
};

/// The limit cuts the end off, and looking changes nothing.
pub async fn claimable_steps_come_by_priority_and_then_oldest_task(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let mut tasks = Vec::new();
    for priority in [0, 5, -1, 5] {
        tasks.push(world.start_with(NewTask { priority, ..world.task() }).await);
    }
    let order = [1, 3, 0, 2].map(|at: usize| tasks[at]);
    let expected: Vec<StepId> =
        order.iter().flat_map(|task| [StepId::new(*task, 0), StepId::new(*task, 1)]).collect();
    for limit in [8, 3, 100, 0] {
        let found = committed!(store, claimable(limit));
        let steps: Vec<StepId> = found.iter().map(|ready| ready.step).collect();
        assert_eq!(steps, expected[..limit.min(8)]);
        assert!(found.iter().all(|ready| ready.plan == world.plan && ready.attempt == 0));
    }
}

/// `ready` becomes `leased` with the next attempt; the task starts with its first step and not again.
pub async fn a_lease_starts_the_attempt_and_its_task(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let other = committed!(store, join(&worker("v", "v-1"), at(10_000), NOW));
    let task = world.start().await;
    let (first, second) = (StepId::new(task, 0), StepId::new(task, 1));
    let batch = |worker, step| NewBatch { worker, steps: vec![(step, 1)] };
    let batches = committed!(store, lease(&[batch(world.worker, second), batch(other, first)], "o", at(3)));
    assert!(batches[0] < batches[1]);
    let (one, two) = (world.step(first).await, world.step(second).await);
    assert_eq!(
        (one.state, one.attempt, one.batch, one.worker.as_deref()),
        (StepState::Leased, 1, Some(batches[1]), Some("v"))
    );
    assert_eq!(
        (two.state, two.attempt, two.batch, two.worker.as_deref()),
        (StepState::Leased, 1, Some(batches[0]), Some("w"))
    );
    let summary = world.record(task).await.summary;
    assert_eq!((summary.state, summary.started_at), (TaskState::InProgress, Some(at(3))));
    assert_eq!(committed!(store, claimable(10)), []);

    let key = AttemptKey { step: first, attempt: 1, batch: batches[1] };
    committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), None)], at(4)));
    let again = committed!(store, lease(&[NewBatch { worker: other, steps: vec![(first, 2)] }], "o", at(9)));
    assert!(again[0] > batches[1]);
    assert_eq!(world.step(first).await.attempt, 2);
    assert_eq!(world.record(task).await.summary.started_at, Some(at(3)));
}

/// It is an inconsistency, and nothing of the round remains.
pub async fn a_step_that_is_not_ready_cannot_be_leased(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start().await;
    for position in [1, 9] {
        let steps = vec![(StepId::new(task, 0), 1), (StepId::new(task, position), 1)];
        let mut round = store.round().await.unwrap();
        let error = round.lease(&[NewBatch { worker: world.worker, steps }], "o", NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Inconsistent(_)), "{error}");
        drop(round);
        assert_eq!(world.state(StepId::new(task, 0)).await, StepState::Ready);
    }
}

/// The attempt that begins must be the one after the last.
pub async fn a_step_whose_lease_has_another_attempt_in_mind_cannot_be_leased(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let step = StepId::new(world.start().await, 0);
    for attempt in [0, 2] {
        let mut round = store.round().await.unwrap();
        let batch = NewBatch { worker: world.worker, steps: vec![(step, attempt)] };
        let error = round.lease(&[batch], "o", NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Inconsistent(_)), "{error}");
    }
    assert_eq!(world.step(step).await.attempt, 0);
}

/// Not a moment earlier than its `ready_at`; what is still ahead is said.
pub async fn a_retry_waits_until_it_is_woken(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[]]).await;
    world.start().await;
    let keys = world.lease().await;
    let ready = standing(StepState::Ready, 1, 0);
    let ended = [
        failed(keys[0], ready, Some(at(50))),
        failed(keys[1], ready, Some(at(100))),
        failed(keys[2], ready, None),
    ];
    assert_eq!(committed!(store, end(&ended, NOW)).len(), 3);
    let claimable = committed!(store, claimable(10));
    assert_eq!(
        claimable.iter().map(|ready| (ready.step, ready.attempt)).collect::<Vec<_>>(),
        [(keys[2].step, 1)]
    );
    assert_eq!(world.step(keys[0].step).await.ready_at, Some(at(50)));
    assert_eq!(committed!(store, wake(at(49))), (0, Some(at(50))));
    assert_eq!(committed!(store, wake(at(50))), (1, Some(at(100))));
    assert_eq!(committed!(store, claimable(10)).len(), 2);
    assert_eq!(world.step(keys[0].step).await.ready_at, None);
    assert_eq!(committed!(store, wake(at(1_000))), (1, None));
    assert_eq!(committed!(store, claimable(10)).len(), 3);
}

/// Each external handler has a queue of its own, which nothing but its own steps stand in, whatever becomes of them.
pub async fn steps_of_external_handlers_have_queues_of_their_own(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[], &[1]]).await;
    let external: Arc<[(u16, String)]> =
        [(1, "charge".to_owned()), (2, "mail".to_owned()), (3, "charge".to_owned())].into();
    let keyed = |priority| NewTask { external: external.clone(), priority, ..world.task() };
    let (low, high) = (world.start_with(keyed(0)).await, world.start_with(keyed(7)).await);
    let at_places = |places: &[(TaskId, u16)]| -> Vec<StepId> {
        places.iter().map(|(task, position)| StepId::new(*task, *position)).collect()
    };
    let waiting = async |handlers: &[&str], limit| -> Vec<StepId> {
        let handlers: Vec<String> = handlers.iter().map(|name| (*name).to_owned()).collect();
        let found = committed!(store, claimable_external(&handlers, limit));
        found.into_iter().map(|ready| ready.step).collect()
    };
    let of_plugins: Vec<StepId> =
        committed!(store, claimable(10)).into_iter().map(|ready| ready.step).collect();
    assert_eq!(of_plugins, at_places(&[(high, 0), (low, 0)]));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(high, 1), (low, 1)]));
    assert_eq!(waiting(&["mail", "charge"], 3).await, at_places(&[(high, 1), (high, 2), (low, 1)]));
    assert_eq!(waiting(&["fax"], 10).await, []);
    assert_eq!(waiting(&[], 10).await, []);
    assert!(store.glance(NOW).await.unwrap().external);

    // What fails comes back to its queue, at once or when it is woken; what depends on it comes to its own.
    let leased = NewBatch {
        worker: world.worker,
        steps: at_places(&[(high, 1), (low, 1)]).into_iter().map(|step| (step, 1)).collect(),
    };
    let batch = committed!(store, lease(&[leased], "o", NOW))[0];
    assert_eq!(waiting(&["charge"], 10).await, []);
    let key = |task| AttemptKey { step: StepId::new(task, 1), attempt: 1, batch };
    committed!(store, end(&[failed(key(low), standing(StepState::Ready, 1, 0), Some(at(50)))], NOW));
    committed!(store, complete(&[completed(key(high), "1")], NOW));
    committed!(store, release(&[(StepId::new(high, 3), 1)]));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(high, 3)]));
    committed!(store, wake(at(50)));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(high, 3), (low, 1)]));

    committed!(store, park(&at_places(&[(high, 3)]), true));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(low, 1)]));
    committed!(store, park(&at_places(&[(high, 3)]), false));
    let given_up = StepChange {
        step: StepId::new(low, 1),
        from: StepState::Ready,
        to: standing(StepState::Error, 1, 0),
        output: None,
    };
    committed!(store, change(std::slice::from_ref(&given_up)));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(high, 3)]));
    let again = StepChange { from: StepState::Error, to: standing(StepState::Ready, 0, 0), ..given_up };
    committed!(store, change(&[again]));
    assert_eq!(waiting(&["charge"], 10).await, at_places(&[(high, 3), (low, 1)]));
}

/// `null` for a step that finished without an output.
pub async fn contexts_and_outputs_are_read_for_many(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let tags = vec![("k".to_owned(), "v".to_owned())];
    let one = world.start_with(NewTask { context: payload("[1]"), tags: tags.clone(), ..world.task() }).await;
    let two = world.start_with(NewTask { context: payload("[2]"), ..world.task() }).await;
    let mut inputs = committed!(store, inputs(&[two, one]));
    inputs.sort_by_key(|input| input.task);
    let found: Vec<_> =
        inputs.iter().map(|input| (input.task, input.context.as_str(), input.tags.len())).collect();
    assert_eq!(found, [(one, "[1]", 1), (two, "[2]", 0)]);
    assert_eq!(inputs[0].tags, tags);

    let keys = world.lease().await;
    committed!(store, complete(&[completed(keys[0], "\"a\""), completed(keys[3], "\"d\"")], NOW));
    let steps: Vec<StepId> = keys.iter().map(|key| key.step).collect();
    let mut outputs = committed!(store, outputs(&[steps[3], steps[1], steps[0]]));
    outputs.sort_by_key(|(step, _)| *step);
    let found: Vec<_> = outputs.iter().map(|(step, output)| (*step, output.as_str())).collect();
    assert_eq!(found, [(steps[0], "\"a\""), (steps[1], "null"), (steps[3], "\"d\"")]);
}

/// Closing again, or closing what never was, changes nothing.
pub async fn batches_are_open_until_they_are_closed(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    world.start().await;
    let keys = world.lease().await;
    let steps: Vec<(StepId, u32)> = keys.iter().map(|key| (key.step, key.attempt)).collect();
    let open = OpenBatch { batch: keys[0].batch, worker: world.worker, steps, end: None };
    assert_eq!(committed!(store, open_batches(world.worker)), std::slice::from_ref(&open));
    assert_eq!(committed!(store, open_batches(WorkerId(9_999))), []);
    assert_eq!(committed!(store, batch(open.batch)), Some(open.clone()));
    assert_eq!(committed!(store, batch(BatchId(9_999))), None);
    committed!(
        store,
        close_batches(
            &[closed(BatchId(9_999), BatchEnd::Lost), closed(open.batch, BatchEnd::Discrepancy)],
            at(1)
        )
    );
    committed!(store, close_batches(&[closed(open.batch, BatchEnd::Lost)], at(2)));
    assert_eq!(committed!(store, open_batches(world.worker)), []);
    let ended = OpenBatch { end: Some(BatchEnd::Discrepancy), ..open };
    assert_eq!(committed!(store, batch(ended.batch)), Some(ended));
}

/// Not every engine can keep the character zero in a text for people; one that cannot shows that there was something.
fn shown(detail: &str) -> String {
    detail.replace('\0', "\u{fffd}")
}

/// A worker may report on a task, step or batch that nobody made.
pub async fn notes_are_kept_even_when_they_name_what_never_was(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let task = world.start().await;
    let step = StepId::new(task, 0);
    let note = |task, step, batch, attempt, kind, detail: &str| NewNote {
        task,
        step,
        batch,
        attempt,
        kind,
        detail: detail.to_owned(),
    };
    let ghost = TaskId(9_999);
    let notes = [
        note(Some(task), Some(step), Some(BatchId(77)), Some(3), NoteKind::Late, "late \u{0} \"quoted\""),
        note(Some(ghost), Some(StepId(-1)), Some(BatchId(i64::MAX)), Some(u32::MAX), NoteKind::Duplicate, ""),
        note(None, None, Some(BatchId(78)), None, NoteKind::Discrepancy, "a batch"),
        note(Some(task), None, None, None, NoteKind::Operator, "cancelled by eve"),
    ];
    committed!(store, note(&notes, at(1)));
    committed!(store, note(&[note(Some(task), Some(step), None, None, NoteKind::LeaseLost, "gone")], at(2)));
    let record = |at, new: &NewNote| {
        let NewNote { step, batch, attempt, kind, detail, .. } = new.clone();
        NoteRecord { at, step, batch, attempt, kind, detail: shown(&detail) }
    };
    let mut found = store.notes(task).await.unwrap();
    for note in &mut found {
        note.detail = shown(&note.detail);
    }
    assert_eq!(found[..2], [record(at(1), &notes[0]), record(at(1), &notes[3])]);
    assert_eq!((found.len(), found[2].kind, found[2].at), (3, NoteKind::LeaseLost, at(2)));
    assert_eq!(store.notes(ghost).await.unwrap(), [record(at(1), &notes[1])]);
}

/// None for an empty slice, and as many for a hundred items as for two.
pub async fn the_number_of_statements_does_not_depend_on_the_number_of_items(store: &dyn Store) {
    let world = World::new(store, &[&[], &[0]]).await;
    let mut counts = Vec::new();
    // The first round may learn what later ones know.
    for items in [1, 0, 2, 100] {
        let before = store.counters();
        let mut round = store.round().await.unwrap();
        everything(&mut *round, &world, items).await;
        round.commit().await.unwrap();
        let after = store.counters();
        assert_eq!(after.commits, before.commits + 1);
        counts.push(after.statements - before.statements);
    }
    assert_eq!(counts[1], 0);
    assert!(counts[2] > 0);
    assert_eq!(counts[2], counts[3]);
}

/// Every method that takes a slice, with so many items.
async fn everything(round: &mut dyn Round, world: &World<'_>, items: usize) {
    let tasks = vec![world.task(); items];
    let created = round.create(&tasks, NOW).await.unwrap();
    let tasks: Vec<TaskId> = created.iter().map(|created| created.task).collect();
    let steps: Vec<StepId> = tasks.iter().map(|task| StepId::new(*task, 0)).collect();
    let batch = |step: &StepId| NewBatch { worker: world.worker, steps: vec![(*step, 1)] };
    let batches = round.lease(&steps.iter().map(batch).collect::<Vec<_>>(), "o", NOW).await.unwrap();
    let keys: Vec<AttemptKey> = steps
        .iter()
        .zip(&batches)
        .map(|(step, batch)| AttemptKey { step: *step, attempt: 1, batch: *batch })
        .collect();
    let running = |key: &AttemptKey| RunningAttempt { key: *key, fraction: Some(0.5), note: None };
    round.started(&keys.iter().map(running).collect::<Vec<_>>()).await.unwrap();
    let (good, bad) = keys.split_at(items / 2);
    let good: Vec<_> = good.iter().map(|key| completed(*key, "1")).collect();
    assert_eq!(round.complete(&good, NOW).await.unwrap().len(), items / 2);
    assert_eq!(round.leased(&keys).await.unwrap().len(), items - items / 2);
    let bad: Vec<_> = bad.iter().map(|key| failed(*key, standing(StepState::Error, 3, 0), None)).collect();
    assert_eq!(round.end(&bad, NOW).await.unwrap().len(), items - items / 2);
    assert_eq!(round.recorded(&keys).await.unwrap().len(), items);
    let children: Vec<_> = tasks.iter().map(|task| (StepId::new(*task, 1), 1)).collect();
    assert_eq!(round.release(&children).await.unwrap().len(), items);
    assert_eq!(round.count_steps(&tasks).await.unwrap().len(), items);
    let settled: Vec<_> = tasks.iter().map(|task| (*task, TaskState::InProgress, TaskState::Error)).collect();
    round.settle(&settled, NOW).await.unwrap();
    assert_eq!(round.inputs(&tasks).await.unwrap().len(), items);
    assert_eq!(round.outputs(&steps).await.unwrap().len(), items);
    round
        .close_batches(
            &batches.iter().map(|batch| closed(*batch, BatchEnd::Reconciled)).collect::<Vec<_>>(),
            NOW,
        )
        .await
        .unwrap();
    let note = |task: &TaskId| NewNote {
        task: Some(*task),
        step: None,
        batch: None,
        attempt: None,
        kind: NoteKind::Late,
        detail: String::new(),
    };
    round.note(&tasks.iter().map(note).collect::<Vec<_>>(), NOW).await.unwrap();
    let skipped = |(step, _): &(StepId, u32)| StepChange {
        step: *step,
        from: StepState::Ready,
        to: standing(StepState::Skipped, 0, 0),
        output: None,
    };
    assert_eq!(round.change(&children.iter().map(skipped).collect::<Vec<_>>()).await.unwrap().len(), items);
    let workers: Vec<WorkerId> = (0..items).map(|id| WorkerId(1_000 + i64::try_from(id).unwrap())).collect();
    assert_eq!(round.renew(&workers, "o", at(1), NOW).await.unwrap(), []);
    round
        .leave(&workers.iter().map(|worker| (*worker, WorkerState::Left)).collect::<Vec<_>>(), "o", NOW)
        .await
        .unwrap();
}
