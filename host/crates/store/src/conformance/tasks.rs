//! Creating tasks, and reading them.

use std::sync::Arc;

use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{PlanId, StepId, TaskId};

use super::{DIAMOND, NOW, SINGLE, World, at, committed, completed, payload};
use crate::{NewTask, Store, TaskFilter};

fn everything() -> TaskFilter {
    TaskFilter { limit: 1_000, ..TaskFilter::default() }
}

/// Steps without parents are ready, the others wait for as many as they have.
pub async fn tasks_are_created_with_their_steps_in_the_order_given(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let created = store.create(&[world.task(), world.task()], NOW).await.unwrap();
    assert!(created.iter().all(|created| !created.existing));
    assert!(created[0].task < created[1].task);
    for created in created {
        let steps = committed!(store, steps(created.task));
        let found: Vec<_> = steps
            .iter()
            .map(|row| (row.step.position(), row.standing.state, row.attempt, row.pending_parents))
            .collect();
        let pending = StepState::Pending;
        assert_eq!(
            found,
            [(0, StepState::Ready, 0, 0), (1, pending, 0, 1), (2, pending, 0, 1), (3, pending, 0, 2)]
        );
        assert_eq!(committed!(store, task(created.task)), Some((world.plan, TaskState::Pending)));
    }
    assert_eq!(store.create(&[], NOW).await.unwrap(), []);
}

/// All or none.
pub async fn a_creation_that_fails_leaves_nothing(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let unplanned = NewTask { plan: PlanId(9_999), ..world.task() };
    assert!(store.create(&[world.task(), unplanned], NOW).await.is_err());
    assert_eq!(store.tasks(&everything()).await.unwrap(), []);
    assert!(!store.glance(NOW).await.unwrap().claimable);
    world.start().await;
}

/// In another call and within the same one.
pub async fn the_same_idempotency_key_returns_the_first_task(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let keyed = |key: &str| NewTask { idempotency_key: Some(key.to_owned()), ..world.task() };
    let first = store.create(&[keyed("a"), keyed("b"), keyed("a"), world.task()], NOW).await.unwrap();
    let existing: Vec<bool> = first.iter().map(|created| created.existing).collect();
    assert_eq!(existing, [false, false, true, false]);
    assert_eq!(first[0].task, first[2].task);
    let again = store.create(&[keyed("c"), keyed("b"), world.task(), keyed("a")], at(1)).await.unwrap();
    let existing: Vec<bool> = again.iter().map(|created| created.existing).collect();
    assert_eq!(existing, [false, true, false, true]);
    assert_eq!((again[1].task, again[3].task), (first[1].task, first[0].task));
    assert_eq!(store.tasks(&everything()).await.unwrap().len(), 5);
}

/// The same key under another namespace or template is another task.
pub async fn an_idempotency_key_counts_within_its_template(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let keyed = |namespace: &str, template: &str| NewTask {
        namespace: namespace.to_owned(),
        template: template.to_owned(),
        idempotency_key: Some("a".to_owned()),
        ..world.task()
    };
    let tasks = [keyed("shop", "order"), keyed("shop", "refund"), keyed("depot", "order")];
    let created = store.create(&tasks, NOW).await.unwrap();
    assert!(created.iter().all(|created| !created.existing));
    let again = store.create(&tasks, NOW).await.unwrap();
    for (first, again) in created.iter().zip(again) {
        assert_eq!((again.task, again.existing), (first.task, true));
    }
}

/// Dropping is undoing, and does not keep the next round from starting.
pub async fn a_round_that_is_dropped_leaves_nothing(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let commits = store.counters().commits;
    let mut round = store.round().await.unwrap();
    let created = round.create(&[world.task()], NOW).await.unwrap();
    assert_eq!(round.claimable(10).await.unwrap().len(), 1);
    drop(round);
    assert_eq!(store.task(created[0].task).await.unwrap(), None);
    assert_eq!(committed!(store, claimable(10)), []);
    assert_eq!(store.counters().commits, commits + 1);
}

/// Whatever JSON there is: spaces, numbers beyond any type, escapes, lone surrogates, NUL.
pub async fn payloads_come_back_byte_for_byte(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    for text in [
        "null",
        "{ \"b\" : 1.50 ,\n \"a\":-0.0e+7, \"b\":2 }",
        "123456789012345678901234567890.000",
        "1e4000",
        r#""\u0000\/\ud800 \\ \" ' \n""#,
        "\"ü 🦀 \u{2028}\u{7f}\"",
        r#"["[1,[2]]",{"$[0]":"json('x')"}]"#,
        "\"\"",
        &format!("\"{}\"", "long ".repeat(40_000)),
    ] {
        let task = world.start_with(NewTask { context: payload(text), ..world.task() }).await;
        let key = world.lease().await[0];
        assert_eq!(key.step.task(), task);
        let mut done = completed(key, text);
        done.line.log = Some(payload(text));
        committed!(store, complete(&[done], NOW));
        assert_eq!(committed!(store, inputs(&[task]))[0].context.as_str(), text);
        assert_eq!(committed!(store, outputs(&[key.step]))[0].1.as_str(), text);
        let record = world.record(task).await;
        assert_eq!(record.context.as_str(), text);
        assert_eq!(record.steps_detail[0].output.as_ref().unwrap().as_str(), text);
        assert_eq!(store.attempts(task).await.unwrap()[0].log.as_ref().unwrap().as_str(), text);
    }
}

/// The task, its labels, and each step with name, parents and limits from the plan.
pub async fn a_task_is_read_with_all_that_is_known_of_it(store: &dyn Store) {
    let world = World::new(store, DIAMOND).await;
    let tags = vec![("region".to_owned(), "eu".to_owned()), ("a'b\"c".to_owned(), "\u{1f980}\n".to_owned())];
    let task =
        NewTask { tags: tags.clone(), priority: -3, idempotency_key: Some("k".to_owned()), ..world.task() };
    let task = world.start_with(task).await;
    let root = world.lease().await[0];
    committed!(store, complete(&[completed(root, "1")], at(4)));
    let record = world.record(task).await;
    let summary = &record.summary;
    assert_eq!((summary.id, summary.plan, summary.state), (task, world.plan, TaskState::InProgress));
    assert_eq!((&*summary.namespace, &*summary.template, &*summary.version), ("shop", "order", "1.2.3"));
    assert_eq!((summary.priority, summary.idempotency_key.as_deref()), (-3, Some("k")));
    assert_eq!((summary.created_at, summary.started_at, summary.finished_at), (NOW, Some(NOW), None));
    assert_eq!((summary.steps, summary.steps_finished, summary.steps_in_error), (4, 1, 0));
    assert_eq!(record.tags, tags);
    let names: Vec<_> =
        record.steps_detail.iter().map(|step| (step.name.as_str(), step.parents.join(" "))).collect();
    let parents = ["", "s0", "s0", "s1 s2"].map(str::to_owned);
    assert_eq!(names, ["s0", "s1", "s2", "s3"].into_iter().zip(parents).collect::<Vec<_>>());
    let ids: Vec<StepId> = record.steps_detail.iter().map(|step| step.id).collect();
    assert_eq!(ids, [0, 1, 2, 3].map(|position| StepId::new(task, position)));
    assert_eq!(record.steps_detail[3].pending_parents, 2);
    assert_eq!(record.steps_detail[0].retry_limit, stepwright_workflow::retry::RetryPolicy::default().limit);
}

/// Newest first, by any mix of filters; the states of many, and how many stand where.
pub async fn tasks_are_listed_by_filter_and_page(store: &dyn Store) {
    let world = World::new(store, SINGLE).await;
    let new = |namespace: &str, template: &str| NewTask {
        namespace: namespace.to_owned(),
        template: template.to_owned(),
        parents: Arc::from([0]),
        external: Arc::default(),
        ..world.task()
    };
    let created =
        store.create(&[new("a", "x"), new("a", "y"), new("b", "x"), new("a", "x")], NOW).await.unwrap();
    let ids: Vec<TaskId> = created.iter().map(|created| created.task).collect();
    committed!(store, settle(&[(ids[3], TaskState::Pending, TaskState::Cancelled)], at(1)));
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (everything(), vec![3, 2, 1, 0]),
        (TaskFilter { limit: 2, ..everything() }, vec![3, 2]),
        (TaskFilter { limit: 2, before: Some(ids[2]), ..everything() }, vec![1, 0]),
        (TaskFilter { namespace: text("a"), ..everything() }, vec![3, 1, 0]),
        (TaskFilter { template: text("x"), ..everything() }, vec![3, 2, 0]),
        (TaskFilter { namespace: text("a"), template: text("x"), ..everything() }, vec![3, 0]),
        (TaskFilter { states: vec![TaskState::Pending], template: text("x"), ..everything() }, vec![2, 0]),
        (TaskFilter { states: vec![TaskState::Cancelled, TaskState::Error], ..everything() }, vec![3]),
        (TaskFilter { namespace: text("c"), ..everything() }, vec![]),
    ];
    for (filter, expected) in cases {
        let found: Vec<TaskId> = store.tasks(&filter).await.unwrap().iter().map(|task| task.id).collect();
        assert_eq!(found, expected.into_iter().map(|at: usize| ids[at]).collect::<Vec<_>>(), "{filter:?}");
    }
    let mut states = store.task_states(&[ids[3], TaskId(9_999), ids[0]]).await.unwrap();
    states.sort();
    assert_eq!(states, [(ids[0], TaskState::Pending), (ids[3], TaskState::Cancelled)]);
    let mut counts = store.task_counts().await.unwrap();
    counts.sort();
    assert_eq!(counts, [(TaskState::Pending, 3), (TaskState::Cancelled, 1)]);
}

/// No error, and nothing made up.
pub async fn what_is_unknown_is_none_or_empty(store: &dyn Store) {
    let nobody = TaskId(9_999);
    assert_eq!(store.task(nobody).await.unwrap(), None);
    assert_eq!(store.attempts(nobody).await.unwrap(), []);
    assert_eq!(store.notes(nobody).await.unwrap(), []);
    assert_eq!(store.task_states(&[nobody]).await.unwrap(), []);
    assert_eq!(store.task_counts().await.unwrap(), []);
    assert_eq!(committed!(store, task(nobody)), None);
    assert_eq!(committed!(store, steps(nobody)), []);
    assert_eq!(committed!(store, inputs(&[nobody])), []);
    assert_eq!(committed!(store, outputs(&[StepId::new(nobody, 0)])), []);
    assert_eq!(committed!(store, count_steps(&[nobody])), []);
    assert_eq!(committed!(store, release(&[(StepId::new(nobody, 0), 1)])), []);
}
