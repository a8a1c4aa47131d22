//! Events: every transition leaves one, in order, exactly if it was committed.

use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Digest, Payload, StepId, TaskId, WorkerId};

use super::{DIAMOND, NOW, SINGLE, World, at, closed, committed, completed, failed, standing, worker};
use crate::event::{Differing, Ended};
use crate::{
    AttemptStatus, BatchEnd, EventRow, Happening, NewNote, NewPlugin, NewTemplate, NoteKind, PauseRecord,
    PluginChange, PluginDeed, PluginState, RunningAttempt, StepChange, Store, WorkerState,
};

/// Every row, once transactions of others have ended that a server waits for.
async fn rows(store: &dyn Store, after: i64) -> Vec<EventRow> {
    loop {
        let page = store.events(after, None, 1_000).await.unwrap();
        if !page.withheld {
            return page.rows;
        }
    }
}

/// What the last row tells.
async fn last(store: &dyn Store) -> Vec<Happening> {
    rows(store, 0).await.pop().unwrap().content
}

/// A diamond from its creation to its end.
pub async fn a_task_tells_of_each_of_its_transitions_in_order(store: &dyn Store) {
    use Happening::{Completed, Initialized, Joined, Published, Settled, Started, Viable};
    let world = World::new(store, DIAMOND).await;
    assert_eq!(last(store).await, [Joined(world.worker, "w".to_owned())]);
    let task = world.start().await;
    let step = |position| StepId::new(task, position);
    assert_eq!(last(store).await, [Initialized(vec![(task, world.plan)]), Viable(vec![step(0)])]);
    let keys = world.lease().await;
    let batch = keys[0].batch;
    let published = Published(batch, world.worker, vec![(step(0), 1)]);
    assert_eq!(last(store).await, [Started(vec![task]), published]);
    // One transaction, one row, whatever happens in it.
    let mut round = store.round().await.unwrap();
    round.complete(&[completed(keys[0], "1")], at(1)).await.unwrap();
    round.release(&[(step(1), 1), (step(2), 1)]).await.unwrap();
    round.close_batches(&[closed(batch, BatchEnd::Reconciled)], at(1)).await.unwrap();
    round.commit().await.unwrap();
    let row = rows(store, 0).await.pop().unwrap();
    let done = Completed(vec![(step(0), 1)]);
    let closes = Happening::Closed(vec![(batch, BatchEnd::Reconciled)]);
    assert_eq!((row.at, row.content), (at(1), vec![done, Viable(vec![step(1), step(2)]), closes]));
    // The task has started before.
    let keys = world.lease().await;
    let steps = vec![(step(1), 1), (step(2), 1)];
    assert_eq!(last(store).await, [Published(keys[0].batch, world.worker, steps)]);
    let mut round = store.round().await.unwrap();
    let done: Vec<_> = keys.iter().map(|key| completed(*key, "1")).collect();
    round.complete(&done, NOW).await.unwrap();
    round.release(&[(step(3), 2)]).await.unwrap();
    round.settle(&[(task, TaskState::Pending, TaskState::Complete)], NOW).await.unwrap();
    round.settle(&[(task, TaskState::InProgress, TaskState::Complete)], NOW).await.unwrap();
    round.commit().await.unwrap();
    let steps = vec![(step(1), 1), (step(2), 1)];
    let settled = Settled(vec![(task, TaskState::Complete)]);
    assert_eq!(last(store).await, [Completed(steps), Viable(vec![step(3)]), settled]);
    let numbers: Vec<i64> = rows(store, 0).await.iter().map(|row| row.id).collect();
    assert!(numbers.is_sorted() && numbers.len() == 6, "{numbers:?}");
}

/// A step that fails, waits, is woken, fails for good, and is retried by an operator.
pub async fn failures_and_retries_are_told(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    committed!(store, started(&[RunningAttempt { key, fraction: Some(0.5), note: Some("half".to_owned()) }]));
    let told = (key.step, 1, Some(0.5), Some("half".to_owned()));
    assert_eq!(last(store).await, [Happening::Progress(vec![told])]);
    committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), Some(at(50)))], NOW));
    let ended = Ended {
        step: key.step,
        attempt: 1,
        status: AttemptStatus::Failed,
        to: StepState::Ready,
        ready_at: Some(at(50)),
        class: "retryable".to_owned(),
        code: None,
        message: "the till is closed".to_owned(),
    };
    assert_eq!(last(store).await, [Happening::Ended(vec![ended])]);
    committed!(store, wake(at(50)));
    assert_eq!(last(store).await, [Happening::Viable(vec![key.step])]);
    let again = world.lease().await[0];
    committed!(store, end(&[failed(again, standing(StepState::Ready, 2, 0), None)], NOW));
    let content = last(store).await;
    assert!(matches!(&content[..], [Happening::Ended(_), Happening::Viable(steps)] if *steps == [key.step]));
    let last_try = world.lease().await[0];
    committed!(store, end(&[failed(last_try, standing(StepState::Error, 3, 0), None)], NOW));
    assert_eq!(last(store).await.len(), 1);
    let change = |from, to| StepChange { step: key.step, from, to: standing(to, 0, 0), output: None };
    committed!(store, change(&[change(StepState::Ready, StepState::Ready)]));
    assert_eq!(last(store).await.len(), 1, "what moved nothing is no event");
    committed!(store, change(&[change(StepState::Error, StepState::Ready)]));
    let moved = Happening::Moved(vec![(key.step, StepState::Ready)]);
    assert_eq!(last(store).await, [moved, Happening::Viable(vec![key.step])]);
}

/// Workers, pauses, plugins, templates and discrepancies.
pub async fn what_is_about_no_step_is_told_too(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    committed!(store, join(&worker("v", "v-1"), at(1_000), NOW));
    let gone = WorkerId(world.worker.0 + 1_000);
    committed!(store, leave(&[(world.worker, WorkerState::Left), (gone, WorkerState::Lost)], "o", NOW));
    assert_eq!(last(store).await, [Happening::Gone(vec![(world.worker, WorkerState::Left)])]);
    let target = PauseTarget::Namespace("shop".to_owned());
    let pause =
        PauseRecord { target: target.clone(), since: NOW, who: "ops".to_owned(), why: "audit".to_owned() };
    committed!(store, pause(&pause));
    let (scope, name) = ("namespace".to_owned(), "shop".to_owned());
    assert_eq!(last(store).await, [Happening::Paused(scope.clone(), name.clone())]);
    committed!(store, pause(&pause));
    committed!(store, resume(&target, NOW));
    assert_eq!(last(store).await, [Happening::Resumed(scope, name)]);
    let plugin = NewPlugin {
        digest: Digest::of(b"component"),
        name: "shop/pay".to_owned(),
        version: "1.0.0".to_owned(),
        bytes: 1,
        description: Payload::null(),
        source: "file".to_owned(),
        signatures: Payload::parse("[]").unwrap(),
        imports: Vec::new(),
    };
    store.add_plugin(&plugin, NOW).await.unwrap();
    let registered = Happening::PluginRegistered("shop/pay".to_owned(), "1.0.0".to_owned(), plugin.digest);
    assert_eq!(last(store).await, [registered]);
    let rows_before = rows(store, 0).await.len();
    store.add_plugin(&plugin, NOW).await.unwrap();
    assert_eq!(rows(store, 0).await.len(), rows_before, "it was there already");
    let change = PluginChange {
        name: "shop/pay".to_owned(),
        versions: vec!["1.0.0".to_owned()],
        to: PluginState::Yanked,
        deed: PluginDeed { at: NOW, who: "ops".to_owned(), why: String::new() },
    };
    committed!(store, change_plugins(&change));
    let changed =
        Happening::PluginsChanged("shop/pay".to_owned(), vec!["1.0.0".to_owned()], PluginState::Yanked);
    assert_eq!(last(store).await, [changed]);
    let template = NewTemplate {
        namespace: "shop".to_owned(),
        name: "order".to_owned(),
        version: "1.0.0".to_owned(),
        source: "steps".to_owned(),
    };
    store.add_template(&template, NOW).await.unwrap();
    let of = |text: &str| text.to_owned();
    assert_eq!(last(store).await, [Happening::TemplateRegistered(of("shop"), of("order"), of("1.0.0"))]);
    let note = |kind| NewNote {
        step: None,
        task: Some(TaskId(7)),
        batch: Some(BatchId(8)),
        attempt: None,
        kind,
        detail: "it differs".to_owned(),
    };
    committed!(store, note(&[note(NoteKind::Late), note(NoteKind::Discrepancy)], NOW));
    let differs = Differing {
        task: Some(TaskId(7)),
        step: None,
        attempt: None,
        batch: Some(BatchId(8)),
        detail: "it differs".to_owned(),
    };
    assert_eq!(last(store).await, [Happening::Discrepancy(vec![differs])]);
}

/// Neither of a transaction that was dropped, nor of one that changed nothing.
pub async fn what_was_not_committed_is_not_told(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let before = rows(store, 0).await;
    let mut round = store.round().await.unwrap();
    round.create(&[world.task()], NOW).await.unwrap();
    drop(round);
    committed!(store, wake(NOW));
    assert_eq!(rows(store, 0).await, before);
}

/// By number, by task, from a moment on; and the oldest go, but never the last.
pub async fn events_are_found_and_removed(store: &dyn Store) {
    assert_eq!(store.event_bounds().await.unwrap(), crate::EventBounds::default());
    assert_eq!(store.event_row(0).await.unwrap(), None);
    let world = World::new(store, SINGLE).await;
    let mut tasks = Vec::new();
    for minute in 0..4 {
        tasks.push(store.create(&[world.task()], at(minute * 60_000)).await.unwrap()[0].task);
    }
    let all = rows(store, 0).await;
    assert_eq!(all.len(), 5);
    let first = store.events(0, None, 2).await.unwrap().rows;
    assert_eq!(first, all[..2]);
    assert_eq!(rows(store, first[1].id).await, all[2..]);
    let of_one = store.events(0, Some(tasks[2]), 10).await.unwrap().rows;
    assert_eq!(of_one, all[3..4]);
    let bounds = store.event_bounds().await.unwrap();
    assert_eq!((bounds.oldest, bounds.newest), (all[0].id, all[4].id));
    assert_eq!(store.event_row(all[2].id).await.unwrap(), Some((all[2].id, at(60_000))));
    assert_eq!(store.event_row(all[4].id + 1).await.unwrap(), None);
    assert_eq!(store.plans_of(&[tasks[0], TaskId(9_999)]).await.unwrap(), [(tasks[0], world.plan)]);
    assert_eq!(store.remove_events(at(120_000), 2).await.unwrap(), 2);
    assert_eq!(store.remove_events(at(120_000), 2).await.unwrap(), 1);
    assert_eq!(store.remove_events(at(120_000), 2).await.unwrap(), 0);
    assert_eq!(rows(store, 0).await, all[3..]);
    assert_eq!(store.remove_events(at(999_000), 100).await.unwrap(), 1);
    let left = rows(store, 0).await;
    assert_eq!(left, all[4..]);
    world.start().await;
    assert!(rows(store, 0).await[1].id > left[0].id);
}
