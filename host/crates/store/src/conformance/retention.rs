//! Removal: exactly what is old and settled goes, with everything that is only its own, and nothing else.

use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{AttemptKey, BatchId, StepId, TaskId, Timestamp, WorkerId};

use super::{DIAMOND, NOW, SINGLE, World, at, closed, committed, completed, failed, payload, standing};
use crate::{
    BatchEnd, Expiry, Found, NewBatch, NewNote, NewTask, NoteKind, PauseRecord, Removed, Store, TaskFilter,
    WorkerState,
};

const ALL: u32 = 1_000;

fn expiry(states: &[TaskState], before: Timestamp) -> Expiry {
    Expiry { before: states.iter().map(|state| (*state, before)).collect() }
}

/// Whatever has settled by now.
fn any() -> Expiry {
    let states = [TaskState::Complete, TaskState::Cancelled, TaskState::ResolvedManually, TaskState::Error];
    expiry(&states, at(1_000_000))
}

/// Runs a task of one step to its end, in a batch of its own that is closed.
async fn finished(world: &World<'_>, now: Timestamp) -> AttemptKey {
    let key = world.leased().await;
    let mut round = world.store.round().await.unwrap();
    round.complete(&[completed(key, "1")], now).await.unwrap();
    round.settle(&[(key.step.task(), TaskState::InProgress, TaskState::Complete)], now).await.unwrap();
    round.close_batches(&[closed(key.batch, BatchEnd::Reconciled)], now).await.unwrap();
    round.commit().await.unwrap();
    key
}

/// A task that an operator ended before it began.
async fn ended(world: &World<'_>, to: TaskState, now: Timestamp) -> TaskId {
    let task = world.start().await;
    committed!(world.store, settle(&[(task, TaskState::Pending, to)], now));
    task
}

async fn due(store: &dyn Store, expiry: &Expiry) -> Vec<TaskId> {
    let found = store.expired_tasks(TaskId(0), expiry, ALL).await.unwrap();
    assert_eq!(found.next, None);
    found.due.into_iter().map(|task| task.task).collect()
}

async fn there(store: &dyn Store) -> Vec<TaskId> {
    let filter = TaskFilter { limit: ALL, ..TaskFilter::default() };
    let mut tasks: Vec<TaskId> =
        store.tasks(&filter).await.unwrap().into_iter().map(|task| task.id).collect();
    tasks.reverse();
    tasks
}

/// Its state and when it settled, and for each state its own age.
pub async fn only_settled_tasks_of_the_states_named_are_due(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let old = finished(&world, at(10)).await.step.task();
    let young = finished(&world, at(20)).await.step.task();
    let cancelled = ended(&world, TaskState::Cancelled, at(10)).await;
    let resolved = ended(&world, TaskState::ResolvedManually, at(10)).await;
    let error = ended(&world, TaskState::Error, at(10)).await;
    let running = world.leased().await.step.task();
    let waiting = world.start().await;
    assert_eq!(due(store, &expiry(&[TaskState::Complete], at(20))).await, [old]);
    assert_eq!(due(store, &expiry(&[TaskState::Complete], at(10))).await, []);
    assert_eq!(due(store, &expiry(&[TaskState::Complete], at(21))).await, [old, young]);
    assert_eq!(
        due(store, &expiry(&[TaskState::Error, TaskState::Cancelled], at(11))).await,
        [cancelled, error]
    );
    let each = Expiry { before: vec![(TaskState::ResolvedManually, at(11)), (TaskState::Complete, at(5))] };
    assert_eq!(due(store, &each).await, [resolved]);
    assert_eq!(due(store, &any()).await, [old, young, cancelled, resolved, error]);
    assert_eq!(due(store, &Expiry::default()).await, []);
    // Naming others has no effect, whatever the look said.
    let everything = [old, young, cancelled, resolved, error, running, waiting, TaskId(9_999)];
    let removed = store.remove_tasks(&everything, &expiry(&[TaskState::Complete], at(20))).await.unwrap();
    assert_eq!((removed.tasks, removed.steps, removed.attempts), (1, 1, 1));
    assert_eq!(there(store).await, [young, cancelled, resolved, error, running, waiting]);
    assert_eq!(
        store.remove_tasks(&everything, &expiry(&[TaskState::Complete], at(20))).await.unwrap(),
        Removed::default()
    );
    assert_eq!(store.remove_tasks(&[], &any()).await.unwrap(), Removed::default());
}

/// Everything that is only its own, and its idempotency key is free again.
pub async fn a_removed_task_leaves_nothing_behind(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let keyed = NewTask { idempotency_key: Some("k".to_owned()), ..world.task() };
    let task = world.start_with(keyed.clone()).await;
    let neighbour = world.start().await;
    let first = world.lease().await;
    committed!(store, end(&[failed(first[0], standing(StepState::Ready, 1, 0), None)], at(1)));
    let second = world.lease().await;
    committed!(store, complete(&[completed(second[0], "2"), completed(first[1], "1")], at(2)));
    let noted = |task, batch| NewNote {
        step: None,
        task,
        batch,
        attempt: None,
        kind: NoteKind::Operator,
        detail: String::new(),
    };
    let notes = [noted(Some(task), None), noted(Some(neighbour), None), noted(None, Some(first[0].batch))];
    committed!(store, note(&notes, at(3)));
    for paused in [task, neighbour] {
        let (target, who, why) = (PauseTarget::Task(paused), String::new(), String::new());
        committed!(store, pause(&PauseRecord { target, since: NOW, who, why }));
    }
    committed!(store, settle(&[(task, TaskState::InProgress, TaskState::Cancelled)], at(4)));
    // A batch that is open may still be reported on.
    assert_eq!(store.remove_tasks(&[task], &any()).await.unwrap(), Removed::default());
    for key in [first[0], second[0]] {
        committed!(store, close_batches(&[closed(key.batch, BatchEnd::Reconciled)], at(5)));
    }
    let (before, lines) = (world.record(neighbour).await, store.attempts(neighbour).await.unwrap());
    let removed = store.remove_tasks(&[task], &any()).await.unwrap();
    let expected = Removed { tasks: 1, steps: 4, attempts: 2, notes: 1, ..Removed::default() };
    assert_eq!(removed, expected);
    assert_eq!(store.task(task).await.unwrap(), None);
    let paused: Vec<PauseTarget> =
        store.pauses().await.unwrap().into_iter().map(|pause| pause.target).collect();
    assert_eq!(paused, [PauseTarget::Task(neighbour)]);
    assert_eq!((store.attempts(task).await.unwrap(), store.notes(task).await.unwrap()), (vec![], vec![]));
    assert_eq!(committed!(store, steps(task)), []);
    assert_eq!(committed!(store, inputs(&[task])), []);
    assert_eq!(world.record(neighbour).await, before);
    assert_eq!(store.attempts(neighbour).await.unwrap(), lines);
    assert_eq!(store.notes(neighbour).await.unwrap().len(), 1);
    let again = store.create(&[keyed], at(6)).await.unwrap();
    assert!(!again[0].existing && again[0].task > neighbour, "{again:?}");
}

/// However many there are, a look reads no more than it was told to, and the next one goes on from there.
pub async fn looks_are_bounded_and_go_on_where_they_stopped(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(ended(&world, TaskState::Cancelled, at(1)).await);
    }
    let mut after = Some(TaskId(0));
    let mut found = Vec::new();
    let mut looks = 0;
    while let Some(from) = after {
        let Found { due, next } = store.expired_tasks(from, &any(), 2).await.unwrap();
        assert!(due.len() <= 2);
        assert!(due.iter().all(|task| task.steps == 1 && task.state == TaskState::Cancelled));
        found.extend(due.into_iter().map(|task| task.task));
        (after, looks) = (next, looks + 1);
    }
    assert_eq!((found, looks), (tasks.clone(), 3));
    // Whatever was made long after the youngest that may go ends the walk, full look or not.
    let long_ago = expiry(&[TaskState::Cancelled], Timestamp(NOW.0 - 86_400_000));
    let nothing = store.expired_tasks(TaskId(0), &long_ago, 2).await.unwrap();
    assert_eq!((nothing.due, nothing.next), (vec![], None));
}

/// A batch goes with the last task that it lists, and never while it is open.
pub async fn a_batch_goes_once_none_of_its_tasks_is_there(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let (one, two) = (world.start().await, world.start().await);
    let keys = world.lease().await;
    let batch = keys[0].batch;
    assert_eq!(keys[1].batch, batch);
    let mut round = store.round().await.unwrap();
    round.complete(&[completed(keys[0], "1"), completed(keys[1], "2")], at(1)).await.unwrap();
    let done = |task| (task, TaskState::InProgress, TaskState::Complete);
    round.settle(&[done(one), done(two)], at(1)).await.unwrap();
    round.commit().await.unwrap();
    let until = at(1_000);
    let swept = async || store.expired_batches(BatchId(0), until, ALL).await.unwrap();
    assert_eq!(store.remove_batches(&[batch]).await.unwrap().batches, 0, "it is open");
    committed!(store, close_batches(&[closed(batch, BatchEnd::Reconciled)], at(2)));
    let note = NewNote {
        step: None,
        task: None,
        batch: Some(batch),
        attempt: None,
        kind: NoteKind::Duplicate,
        detail: String::new(),
    };
    committed!(store, note(&[note], at(3)));
    assert_eq!(store.remove_tasks(&[one], &any()).await.unwrap().tasks, 1);
    let kept = swept().await;
    assert_eq!((kept.found.due, kept.workers), (vec![], vec![world.worker]));
    assert_eq!(store.remove_tasks(&[two], &any()).await.unwrap().tasks, 1);
    let free = swept().await;
    assert_eq!((free.found.due, free.found.next, free.workers), (vec![batch], None, vec![]));
    assert_eq!(store.expired_batches(BatchId(0), NOW, ALL).await.unwrap().found.due, [], "too young");
    let removed = store.remove_batches(&[batch, BatchId(9_999)]).await.unwrap();
    assert_eq!(removed, Removed { batches: 1, notes: 1, ..Removed::default() });
    assert_eq!(store.batch(batch).await.unwrap(), None);
    assert_eq!(store.remove_batches(&[]).await.unwrap(), Removed::default());
}

/// Only what is about nothing that is there, and old.
pub async fn notes_about_nothing_go_by_age(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    let task = key.step.task();
    let note = |task, batch| NewNote {
        step: None,
        task,
        batch,
        attempt: None,
        kind: NoteKind::Late,
        detail: "n".to_owned(),
    };
    let ghost = Some(TaskId(9_999));
    let kept = [note(Some(task), None), note(ghost, Some(key.batch)), note(None, Some(key.batch))];
    committed!(store, note(&kept, at(1)));
    committed!(store, note(&[note(ghost, Some(BatchId(9_999))), note(None, None)], at(1)));
    committed!(store, note(&[note(ghost, None)], at(50)));
    let found = store.expired_notes(0, at(50), ALL).await.unwrap();
    assert_eq!((found.due.len(), found.next), (2, None));
    assert_eq!(store.remove_notes(&found.due).await.unwrap().notes, 2);
    assert!(store.expired_notes(0, at(50), ALL).await.unwrap().due.is_empty());
    assert_eq!(store.expired_notes(0, at(51), ALL).await.unwrap().due.len(), 1);
    assert_eq!(store.batch_notes(&[key.batch]).await.unwrap().len(), 2);
}

/// Only those that are gone for long, and that nothing refers to.
pub async fn workers_go_once_nothing_refers_to_them(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let join =
        async |name: &str| -> WorkerId { committed!(store, join(&super::worker(name, name), at(10), NOW)) };
    let (gone, needed, recent) = (join("gone").await, join("needed").await, join("recent").await);
    let task = world.start().await;
    let batch = NewBatch { worker: needed, steps: vec![(StepId::new(task, 0), 1)] };
    let batches = committed!(store, lease(&[batch], "o", NOW));
    let left = |worker| (worker, WorkerState::Left);
    committed!(store, leave(&[left(gone), left(needed)], "o", at(5)));
    committed!(store, leave(&[left(recent)], "o", at(100)));
    committed!(store, close_batches(&[closed(batches[0], BatchEnd::Lost)], at(6)));
    let kept = store.expired_batches(BatchId(0), at(50), ALL).await.unwrap().workers;
    assert_eq!(kept, [needed]);
    assert_eq!(store.remove_workers(at(50), &kept).await.unwrap().workers, 1);
    let mut left: Vec<WorkerId> =
        store.workers(None, ALL).await.unwrap().into_iter().map(|worker| worker.id).collect();
    left.sort();
    assert_eq!(left, [world.worker, needed, recent]);
}

/// Every table, with rows and bytes where there are any.
pub async fn tables_are_measured(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let big = NewTask { context: payload(&format!("\"{}\"", "x".repeat(100_000))), ..world.task() };
    store.create(&[big], NOW).await.unwrap();
    let size = store.size().await.unwrap();
    assert!(size.bytes > 0);
    for table in ["tasks", "steps", "attempts", "batches", "notes", "workers", "task_inputs"] {
        assert!(size.tables.iter().any(|found| found.name == table), "{table} is missing in {size:?}");
    }
    let bytes: u64 = size.tables.iter().map(|table| table.bytes + table.index_bytes).sum();
    assert!(bytes > 0 && bytes <= size.bytes, "{size:?}");
}
