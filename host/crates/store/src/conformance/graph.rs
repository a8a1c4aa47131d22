//! Releasing dependants, settling tasks, and what operators change.

use stepwright_workflow::audit::StepFacts;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::{StepCounts, TaskState};
use stepwright_workflow::{StepId, TaskId};

use super::{DIAMOND, NOW, SINGLE, World, at, closed, committed, completed, failed, payload, standing};
use crate::{BatchEnd, StepChange, Store};

fn change(step: StepId, from: StepState, to: StepState) -> StepChange {
    StepChange { step, from, to: standing(to, 0, 0), output: None }
}

/// One parent after the other.
pub async fn a_step_is_ready_when_its_last_parent_has_finished(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let last = StepId::new(world.start().await, 3);
    assert_eq!(committed!(store, release(&[(last, 1)])), []);
    let step = world.step(last).await;
    assert_eq!((step.state, step.pending_parents), (StepState::Pending, 1));
    assert_eq!(committed!(store, release(&[(last, 1)])), [last]);
    let step = world.step(last).await;
    assert_eq!((step.state, step.pending_parents), (StepState::Ready, 0));
    assert!(committed!(store, claimable(10)).iter().any(|ready| ready.step == last));
}

/// Of several steps in one call.
pub async fn several_parents_may_finish_at_once(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let (one, two) = (world.start().await, world.start().await);
    let finished = [(StepId::new(one, 3), 2), (StepId::new(one, 1), 1), (StepId::new(two, 3), 1)];
    let mut ready = committed!(store, release(&finished));
    ready.sort();
    assert_eq!(ready, [StepId::new(one, 1), StepId::new(one, 3)]);
    assert_eq!(world.step(StepId::new(two, 3)).await.pending_parents, 1);
    assert_eq!(world.state(StepId::new(one, 2)).await, StepState::Pending);
}

/// A step that an operator skipped meanwhile stays as it is.
pub async fn only_pending_steps_are_released(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start().await;
    let (root, child) = (StepId::new(task, 0), StepId::new(task, 1));
    committed!(store, change(&[change(child, StepState::Pending, StepState::Skipped)]));
    assert_eq!(committed!(store, release(&[(child, 1), (root, 1)])), []);
    assert_eq!((world.state(child).await, world.state(root).await), (StepState::Skipped, StepState::Ready));
}

/// Cancelled steps do not count.
pub async fn steps_are_counted_for_tasks_that_are_not_final(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[], &[], &[], &[0], &[0]]).await;
    let (task, done) = (world.start().await, world.start().await);
    let keys = world.lease().await;
    assert_eq!(keys[0].step, StepId::new(task, 0));
    committed!(store, complete(&[completed(keys[0], "1")], NOW));
    committed!(store, end(&[failed(keys[1], standing(StepState::Error, 3, 0), None)], NOW));
    committed!(store, end(&[failed(keys[2], standing(StepState::Ready, 1, 0), Some(at(9)))], NOW));
    let child = StepId::new(task, 5);
    committed!(store, change(&[change(child, StepState::Pending, StepState::Cancelled)]));
    committed!(store, settle(&[(done, TaskState::InProgress, TaskState::Complete)], NOW));
    let counts = StepCounts { pending: 1, active: 3, error: 1, finished_well: 1 };
    let expected = [(task, TaskState::InProgress, counts)];
    assert_eq!(committed!(store, count_steps(&[done, task, TaskId(9_999)])), expected);
    committed!(store, settle(&[(task, TaskState::InProgress, TaskState::Error)], NOW));
    assert_eq!(committed!(store, count_steps(&[task])), [(task, TaskState::Error, counts)]);
}

/// Its end is set when it settles, and taken back when an operator repairs it.
pub async fn a_task_is_settled_only_from_the_state_that_it_had(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let task = world.leased().await.step.task();
    let other = world.leased().await.step.task();
    let moves =
        [(task, TaskState::Error, TaskState::Complete), (other, TaskState::InProgress, TaskState::Error)];
    committed!(store, settle(&moves, at(1)));
    let (one, two) = (world.record(task).await.summary, world.record(other).await.summary);
    assert_eq!((one.state, one.finished_at), (TaskState::InProgress, None));
    assert_eq!((two.state, two.started_at, two.finished_at), (TaskState::Error, Some(NOW), Some(at(1))));
    committed!(store, settle(&[(other, TaskState::Error, TaskState::InProgress)], at(2)));
    let two = world.record(other).await.summary;
    assert_eq!((two.state, two.started_at, two.finished_at), (TaskState::InProgress, Some(NOW), None));
    committed!(store, settle(&[(other, TaskState::InProgress, TaskState::Complete)], at(3)));
    let two = world.record(other).await.summary;
    assert_eq!((two.state, two.finished_at), (TaskState::Complete, Some(at(3))));
}

/// It was cancelled first.
pub async fn a_task_that_was_never_started_has_no_start(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let task = world.start().await;
    committed!(store, settle(&[(task, TaskState::Pending, TaskState::Cancelled)], at(1)));
    let summary = world.record(task).await.summary;
    assert_eq!(
        (summary.state, summary.started_at, summary.finished_at),
        (TaskState::Cancelled, None, Some(at(1)))
    );
}

/// Steps that moved meanwhile are not reported as changed.
pub async fn a_change_applies_only_from_the_state_that_the_step_had(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let key = world.leased().await;
    let task = key.step.task();
    let changes = [
        change(key.step, StepState::Ready, StepState::Skipped),
        change(StepId::new(task, 1), StepState::Pending, StepState::Skipped),
        change(StepId::new(task, 2), StepState::Error, StepState::Ready),
        change(StepId::new(TaskId(9_999), 0), StepState::Ready, StepState::Skipped),
    ];
    assert_eq!(committed!(store, change(&changes)), [StepId::new(task, 1)]);
    let states: Vec<_> = world.record(task).await.steps_detail.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Leased, StepState::Skipped, StepState::Pending, StepState::Pending]);
    assert_eq!(committed!(store, complete(&[completed(key, "1")], NOW)).len(), 1);
}

/// Byte for byte; without one the output stays as it was.
pub async fn an_operators_output_is_what_dependants_read(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let step = StepId::new(world.start().await, 3);
    let resolved = StepChange {
        step,
        from: StepState::Pending,
        to: standing(StepState::ResolvedManually, 0, 0),
        output: Some(payload("{ \"by\" : \"eve\" }")),
    };
    assert_eq!(committed!(store, change(&[resolved])), [step]);
    let record = world.step(step).await;
    assert_eq!((record.state, record.failure), (StepState::ResolvedManually, None));
    assert_eq!(committed!(store, outputs(&[step])), [(step, payload("{ \"by\" : \"eve\" }"))]);
}

/// The attempt's number goes on, and whatever it waited for is forgotten.
pub async fn a_retry_by_an_operator_begins_with_new_counts(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let first = world.leased().await;
    committed!(store, end(&[failed(first, standing(StepState::Error, 3, 2), None)], NOW));
    assert_eq!(committed!(store, claimable(10)), []);
    assert_eq!(
        committed!(store, change(&[change(first.step, StepState::Error, StepState::Ready)])),
        [first.step]
    );
    let step = world.step(first.step).await;
    assert_eq!((step.state, step.failures, step.losses, step.attempt), (StepState::Ready, 0, 0, 1));
    assert_eq!(world.lease().await[0].attempt, 2);

    let waiting = world.leased().await;
    committed!(store, end(&[failed(waiting, standing(StepState::Ready, 1, 0), Some(at(500)))], NOW));
    committed!(store, change(&[change(waiting.step, StepState::Ready, StepState::Skipped)]));
    assert_eq!(world.step(waiting.step).await.ready_at, None);
    assert_eq!(committed!(store, wake(at(1_000))), (0, None));
}

/// Only attempts that a worker holds, leased or running.
pub async fn a_cancelled_attempt_is_told_to_stop_once(store: &dyn Store) {
    let world = World::new(store, &[&[], &[], &[], &[0]]).await;
    let task = world.start().await;
    let keys = world.lease().await;
    committed!(store, started(&[crate::RunningAttempt { key: keys[1], fraction: None, note: None }]));
    committed!(store, end(&[failed(keys[2], standing(StepState::Ready, 1, 0), Some(at(9)))], NOW));
    assert!(!store.glance(NOW).await.unwrap().cancelled);
    assert_eq!(committed!(store, take_cancelled(&[world.worker])), []);
    let stranger = committed!(store, join(&super::worker("v", "v-1"), at(10_000), NOW));
    let from = [StepState::Leased, StepState::InProgress, StepState::Ready, StepState::Pending];
    let cancel = |(position, from)| change(StepId::new(task, position), from, StepState::Cancelled);
    let changes: Vec<_> = (0..).zip(from).map(cancel).collect();
    assert_eq!(committed!(store, change(&changes)).len(), 4);
    assert!(store.glance(NOW).await.unwrap().cancelled);
    // Only whoever can tell the worker takes them.
    assert_eq!(committed!(store, take_cancelled(&[stranger])), []);
    assert_eq!(committed!(store, take_cancelled(&[])), []);
    let mut round = store.round().await.unwrap();
    assert_eq!(round.take_cancelled(&[world.worker]).await.unwrap().len(), 2);
    drop(round);
    let mut told = committed!(store, take_cancelled(&[world.worker]));
    told.sort();
    assert_eq!(told, keys[..2]);
    assert_eq!(committed!(store, take_cancelled(&[world.worker])), []);
    assert!(!store.glance(NOW).await.unwrap().cancelled);
}

/// Unfinished tasks as of one moment, each with all its steps; finished ones are left out.
pub async fn an_audit_sees_unfinished_tasks_with_all_their_steps(store: &dyn Store) {
    let world = World::new(store, &[&[], &[0], &[0]]).await;
    let tasks = [world.start().await, world.start().await];
    let key = world.lease().await[0];
    let seen = store.audit(TaskId(0), 10).await.unwrap();
    assert_eq!(seen.iter().map(|task| task.task).collect::<Vec<_>>(), tasks);
    let facts = |position, state, pending_parents, queued, held| StepFacts {
        position,
        state,
        pending_parents,
        queued,
        parked: false,
        held,
    };
    let waiting =
        [facts(1, StepState::Pending, 1, false, false), facts(2, StepState::Pending, 1, false, false)];
    assert_eq!(seen[0].steps[0], facts(0, StepState::Leased, 0, false, true));
    assert_eq!(seen[0].steps[1..], waiting);
    assert_eq!((seen[0].plan, seen[0].state), (world.plan, TaskState::InProgress));
    assert_eq!(store.audit(tasks[0], 10).await.unwrap(), seen[1..]);
    assert_eq!(store.audit(TaskId(0), 1).await.unwrap(), seen[..1]);
    // A lease that nobody holds any more, a step that waits for a moment, and one that is ready at once.
    committed!(store, close_batches(&[closed(key.batch, BatchEnd::Lost)], NOW));
    assert!(!committed!(store, audit(tasks[0])).unwrap().steps[0].held);
    committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), Some(at(9)))], NOW));
    assert_eq!(
        committed!(store, audit(tasks[0])).unwrap().steps[0],
        facts(0, StepState::Ready, 0, true, false)
    );
    committed!(store, settle(&[(tasks[0], TaskState::InProgress, TaskState::Cancelled)], NOW));
    assert_eq!(committed!(store, audit(tasks[0])), None);
    let left: Vec<TaskId> = store.audit(TaskId(0), 10).await.unwrap().iter().map(|task| task.task).collect();
    assert_eq!(left, tasks[1..]);
}

/// What was counted anew is claimable exactly if nothing is left to wait for, and once.
pub async fn a_step_is_counted_anew_and_queued_once(store: &dyn Store) {
    let world = World::new(store, &[&[], &[0], &[0]]).await;
    let task = world.start().await;
    world.lease().await;
    let steps = [StepId::new(task, 0), StepId::new(task, 1), StepId::new(task, 2)];
    committed!(store, recount(&[(steps[1], 0), (steps[2], 2), (steps[0], 0)]));
    committed!(store, requeue(&steps));
    committed!(store, requeue(&steps));
    assert_eq!(world.state(steps[1]).await, StepState::Ready);
    assert_eq!(
        (world.state(steps[0]).await, world.state(steps[2]).await),
        (StepState::Leased, StepState::Pending)
    );
    assert_eq!(world.step(steps[2]).await.pending_parents, 2);
    let claimable = committed!(store, claimable(10));
    assert_eq!(claimable.iter().map(|ready| ready.step).collect::<Vec<_>>(), [steps[1]]);
}

/// Before and after its worker was told to stop.
pub async fn the_outcome_of_a_cancelled_step_is_late(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let key = world.leased().await;
    committed!(store, change(&[change(key.step, StepState::Leased, StepState::Cancelled)]));
    for _ in 0..2 {
        assert_eq!(committed!(store, complete(&[completed(key, "1")], NOW)), []);
        assert_eq!(committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), None)], NOW)), []);
        assert_eq!(committed!(store, leased(&[key])), []);
        committed!(store, take_cancelled(&[world.worker]));
    }
    let step = world.step(key.step).await;
    assert_eq!((step.state, step.output, step.worker), (StepState::Cancelled, None, None));
    assert_eq!(store.attempts(key.step.task()).await.unwrap(), []);
}
