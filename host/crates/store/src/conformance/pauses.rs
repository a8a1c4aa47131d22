//! Pauses, what they set aside, starts that lie ahead, and suspects.

use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Digest, StepId, TaskId};

use super::{DIAMOND, NOW, SINGLE, World, at, committed, failed, standing};
use crate::{NewTask, PauseRecord, StepChange, Store};

fn pause(target: PauseTarget) -> PauseRecord {
    PauseRecord { target, since: NOW, who: "ann".to_owned(), why: "stocktaking".to_owned() }
}

fn namespace() -> PauseTarget {
    PauseTarget::Namespace("shop".to_owned())
}

/// Each kind reads back as it was made; the second time changes nothing.
pub async fn a_pause_is_there_until_it_is_taken_away(store: &dyn Store) {
    let targets = [
        PauseTarget::Task(TaskId(7)),
        PauseTarget::Template { namespace: "shop".to_owned(), name: "order".to_owned() },
        namespace(),
        PauseTarget::Plugin("shop/steps".to_owned()),
        PauseTarget::Digest(Digest::of(b"component")),
    ];
    for (ms, target) in (0..).zip(&targets) {
        let made = PauseRecord { since: at(ms), ..pause(target.clone()) };
        assert!(committed!(store, pause(&made)), "{target}");
        let again = PauseRecord { who: "bob".to_owned(), ..made };
        assert!(!committed!(store, pause(&again)), "{target}");
    }
    let pauses = store.pauses().await.unwrap();
    assert_eq!(
        pauses.iter().map(|pause| &pause.target).collect::<Vec<_>>(),
        targets.iter().collect::<Vec<_>>()
    );
    assert!(pauses.iter().all(|pause| pause.who == "ann" && pause.why == "stocktaking"));
    assert_eq!(committed!(store, pauses()), pauses);
    for target in &targets {
        assert!(committed!(store, resume(target, NOW)), "{target}");
        assert!(!committed!(store, resume(target, NOW)), "{target}");
    }
    assert_eq!(store.pauses().await.unwrap(), []);
}

/// It keeps its place, and is claimed again once it is put back.
pub async fn a_step_that_is_set_aside_is_not_claimable(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let task = world.start().await;
    let steps = [StepId::new(task, 0), StepId::new(task, 1)];
    let found = committed!(store, claimable(10));
    assert!(found.iter().all(|ready| !ready.pauses));
    committed!(store, pause(&pause(namespace())));
    let found = committed!(store, claimable(10));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|ready| ready.pauses), "each says that some pause is in force");

    committed!(store, park(&steps[..1], true));
    let found: Vec<StepId> = committed!(store, claimable(10)).iter().map(|ready| ready.step).collect();
    assert_eq!(found, steps[1..]);
    let aside = committed!(store, parked(StepId(0), 10));
    assert_eq!(
        aside.iter().map(|aside| (aside.step, aside.plan)).collect::<Vec<_>>(),
        [(steps[0], world.plan)]
    );
    assert_eq!(committed!(store, parked(steps[0], 10)), []);
    assert_eq!(world.state(steps[0]).await, StepState::Ready);

    committed!(store, park(&steps, true));
    assert_eq!(committed!(store, parked(StepId(0), 1)).len(), 1);
    assert_eq!(committed!(store, parked(StepId(0), 10)).len(), 2);
    assert!(!store.glance(NOW).await.unwrap().claimable);
    committed!(store, park(&steps, false));
    assert_eq!(committed!(store, claimable(10)).len(), 2);
    assert!(store.glance(NOW).await.unwrap().claimable);
}

/// Whatever is no longer ready is not aside either.
pub async fn only_ready_steps_are_set_aside(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start().await;
    let (first, last) = (StepId::new(task, 0), StepId::new(task, 3));
    committed!(store, park(&[first, last], true));
    assert_eq!(committed!(store, parked(StepId(0), 10)).len(), 1);
    let change = |from, to| StepChange { step: first, from, to: standing(to, 0, 0), output: None };
    let moved = committed!(store, change(&[change(StepState::Ready, StepState::Cancelled)]));
    assert_eq!(moved, [first]);
    assert_eq!(committed!(store, parked(StepId(0), 10)), []);
}

/// A retry that is set aside is found by the audit, and its task says what pauses it.
pub async fn what_is_set_aside_is_seen_by_the_audit_and_by_people(store: &dyn Store) {
    let world = World::new(store, &[&[], &[]]).await;
    let key = world.leased().await;
    let task = key.step.task();
    committed!(store, end(&[failed(key, standing(StepState::Ready, 1, 0), None)], NOW));
    committed!(store, park(&[key.step], true));
    let audited = store.audit(TaskId(0), 10).await.unwrap();
    let aside: Vec<bool> = audited[0].steps.iter().map(|step| step.parked).collect();
    assert_eq!(aside, [true, false]);
    assert_eq!(committed!(store, audit(task)).unwrap().steps, audited[0].steps);

    assert!(!world.step(key.step).await.paused);
    let (mine, other) = (pause(PauseTarget::Task(task)), pause(PauseTarget::Task(TaskId(task.0 + 1))));
    committed!(store, pause(&mine));
    committed!(store, pause(&other));
    assert!(world.step(key.step).await.paused);
    assert_eq!(world.record(task).await.pauses, [mine]);
}

/// Its first steps wait, the others wait for them; the moment is said to whoever looks.
pub async fn a_task_may_begin_later(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let task = world.start_with(NewTask { start_at: Some(at(5_000)), ..world.task() }).await;
    let now = world.start().await;
    let found: Vec<TaskId> = committed!(store, claimable(10)).iter().map(|ready| ready.step.task()).collect();
    assert_eq!(found, [now]);
    let first = world.step(StepId::new(task, 0)).await;
    assert_eq!((first.state, first.ready_at), (StepState::Ready, Some(at(5_000))));
    assert_eq!(world.step(StepId::new(task, 1)).await.ready_at, None);
    assert_eq!(store.glance(NOW).await.unwrap().next_ready_at, Some(at(5_000)));
    assert_eq!(committed!(store, wake(at(4_999))), (0, Some(at(5_000))));
    assert_eq!(committed!(store, wake(at(5_000))), (1, None));
    assert_eq!(committed!(store, claimable(10)).len(), 2);
}

/// In a row; what happens at the same time is one event; a step that completes ends the row.
pub async fn losses_of_a_component_are_counted_in_a_row(store: &dyn Store) {
    let [one, two] = [Digest::of(b"one"), Digest::of(b"two")];
    assert!(!store.glance(NOW).await.unwrap().suspects);
    assert_eq!(committed!(store, suspect(&[one], at(-5_000), NOW)), [(one, 1)]);
    assert!(store.glance(NOW).await.unwrap().suspects);
    let counted = committed!(store, suspect(&[one, two], at(-1_000), at(4_000)));
    assert_eq!(counted, [(two, 1)], "the other one was lost a moment ago");
    assert_eq!(committed!(store, suspect(&[one], at(1_000), at(6_000))), [(one, 2)]);
    let mut suspects = store.suspects().await.unwrap();
    suspects.sort_by_key(|suspect| suspect.losses);
    let seen: Vec<_> =
        suspects.iter().map(|suspect| (suspect.digest, suspect.losses, suspect.last_at)).collect();
    assert_eq!(seen, [(two, 1, at(4_000)), (one, 2, at(6_000))]);
    committed!(store, acquit(&[one]));
    assert_eq!(committed!(store, suspect(&[one], at(8_000), at(13_000))), [(one, 1)]);
    committed!(store, acquit(&[one, two]));
    assert!(!store.glance(NOW).await.unwrap().suspects);
}

/// A claim that has read the pauses decides by them until it has committed, and then whoever resumes sees what it did.
pub async fn a_pause_that_was_read_stays_until_the_round_has_ended(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let step = StepId::new(world.start().await, 0);
    committed!(store, pause(&pause(namespace())));
    let claim = async {
        let mut round = store.round().await.unwrap();
        assert_eq!(round.pauses().await.unwrap().len(), 1);
        round.park(&[step], true).await.unwrap();
        round
    };
    let round = claim.await;
    let resume = async {
        let mut round = store.round().await.unwrap();
        assert!(round.resume(&namespace(), NOW).await.unwrap());
        let aside = round.parked(StepId(0), 10).await.unwrap();
        round.commit().await.unwrap();
        aside
    };
    let (committed, aside) = futures::join!(round.commit(), resume);
    committed.unwrap();
    assert_eq!(aside.iter().map(|aside| aside.step).collect::<Vec<_>>(), [step]);
}

/// Those of tasks that will go on, and of whatever is no task, stay.
pub async fn the_pause_of_a_finished_task_is_taken_away(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let (done, open) = (world.leased().await.step.task(), world.start().await);
    for target in [PauseTarget::Task(done), PauseTarget::Task(open), namespace()] {
        committed!(store, pause(&pause(target)));
    }
    assert!(!store.glance(NOW).await.unwrap().stale_pauses);
    committed!(store, settle(&[(done, TaskState::InProgress, TaskState::Cancelled)], at(1)));
    assert!(store.glance(NOW).await.unwrap().stale_pauses);
    store.drop_stale_pauses().await.unwrap();
    assert!(!store.glance(NOW).await.unwrap().stale_pauses);
    let left: Vec<PauseTarget> =
        store.pauses().await.unwrap().into_iter().map(|pause| pause.target).collect();
    assert_eq!(left, [namespace(), PauseTarget::Task(open)]);
}
