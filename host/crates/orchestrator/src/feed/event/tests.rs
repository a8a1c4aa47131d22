//! Each happening as the events that it is told as, branch by branch, and whether that is what the reference promises.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::{Digest, Payload, PlanId, PlanStep, StepLimits};

use super::*;

const PAGE: &str = include_str!("../../../../../../docs/reference/events.md");

const AT: Timestamp = Timestamp(1_795_600_000_000);
const TASK: TaskId = TaskId(17);
/// Its events are still kept, and it is not.
const REMOVED: TaskId = TaskId(18);
const PLAN: PlanId = PlanId(3);
const BATCH: BatchId = BatchId(5);
const WORKER: WorkerId = WorkerId(4);

fn plans() -> Plans {
    let step = |name: &str| PlanStep {
        name: name.to_owned(),
        plugin: "shop/pay".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
        handler: "run".to_owned(),
        parents: Vec::new(),
        config: Payload::null(),
        timeout_ms: 1_000,
        retry: RetryPolicy::default(),
        limits: StepLimits::default(),
    };
    let plan = Plan {
        namespace: "shop".to_owned(),
        name: "order".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
        input_schema: None,
        steps: vec![step("charge"), step("ship")],
    };
    HashMap::from([(TASK, Arc::new(plan))])
}

fn row(id: i64, content: Vec<Happening>) -> EventRow {
    EventRow { id, at: AT, content }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn charge() -> StepId {
    StepId::new(TASK, 0)
}

fn ship() -> StepId {
    StepId::new(TASK, 1)
}

/// A failed attempt of the first step that leaves it there.
fn ended(status: AttemptStatus, to: StepState, ready_at: Option<Timestamp>) -> Ended {
    let (class, message) = (text("retryable"), text("the till is closed"));
    Ended { step: charge(), attempt: 1, status, to, ready_at, class, code: None, message }
}

fn differing(task: Option<TaskId>, step: Option<StepId>, attempt: Option<u32>) -> Differing {
    Differing { task, step, attempt, batch: Some(BATCH), detail: text("it differs") }
}

/// An event with these fields.
fn other(event: &str, more: Value) -> Value {
    merged(json!({ "event": event }), more)
}

/// One about the task.
fn task(event: &str, more: Value) -> Value {
    let names = json!({ "task": 17, "namespace": "shop", "template": "order", "version": "1.0.0" });
    merged(other(event, names), more)
}

/// One about a step of it.
fn step(event: &str, name: &str, more: Value) -> Value {
    merged(task(event, json!({ "step": name })), more)
}

fn merged(mut one: Value, other: Value) -> Value {
    let Value::Object(other) = other else { panic!("{other} is no object") };
    one.as_object_mut().unwrap().extend(other);
    one
}

fn of_tasks() -> Vec<(Happening, Vec<Value>)> {
    use Happening::{Initialized, Settled, Started};
    let none = || json!({});
    let settled = |state, event| (Settled(vec![(TASK, state)]), vec![task(event, none())]);
    vec![
        (
            Initialized(vec![(TASK, PLAN), (REMOVED, PLAN)]),
            vec![task("task.initialized", none()), other("task.initialized", json!({ "task": 18 }))],
        ),
        (Started(vec![TASK]), vec![task("task.started", none())]),
        settled(TaskState::Complete, "task.completed"),
        settled(TaskState::Error, "task.failed"),
        settled(TaskState::Cancelled, "task.cancelled"),
        settled(TaskState::ResolvedManually, "task.resolved_manually"),
        settled(TaskState::InProgress, "task.reopened"),
        settled(TaskState::Pending, "task.reopened"),
    ]
}

fn of_attempts() -> Vec<(Happening, Vec<Value>)> {
    use Happening::{Completed, Progress, Published, Viable};
    let started =
        |name, attempt| step("step.started", name, json!({ "attempt": attempt, "batch": 5, "worker": 4 }));
    let progress = |more| step("step.progress", "charge", more);
    vec![
        (
            // A step that the plan does not have is told without a name, as is one whose task is gone.
            Viable(vec![charge(), ship(), StepId::new(TASK, 2), StepId::new(REMOVED, 0)]),
            vec![
                step("step.viable", "charge", json!({})),
                step("step.viable", "ship", json!({})),
                task("step.viable", json!({})),
                other("step.viable", json!({ "task": 18 })),
            ],
        ),
        (
            Published(BATCH, WORKER, vec![(charge(), 1), (ship(), 2)]),
            vec![
                other("batch.published", json!({ "batch": 5, "worker": 4, "steps": 2 })),
                started("charge", 1),
                started("ship", 2),
            ],
        ),
        (
            Progress(vec![
                (charge(), 1, Some(0.5), Some(text("half"))),
                (charge(), 1, Some(0.75), None),
                (charge(), 1, None, Some(text("soon"))),
            ]),
            vec![
                progress(json!({ "attempt": 1, "fraction": 0.5, "note": "half" })),
                progress(json!({ "attempt": 1, "fraction": 0.75 })),
                progress(json!({ "attempt": 1, "note": "soon" })),
            ],
        ),
        (
            Completed(vec![(charge(), 1), (ship(), 3)]),
            vec![
                step("step.completed", "charge", json!({ "attempt": 1 })),
                step("step.completed", "ship", json!({ "attempt": 3 })),
            ],
        ),
    ]
}

fn of_ends() -> Vec<(Happening, Vec<Value>)> {
    use AttemptStatus::{Completed, Failed, Lost};
    let end = |ended| Happening::Ended(vec![ended]);
    let told = |event, retries| {
        let why = json!({ "attempt": 1, "class": "retryable", "message": "the till is closed", "retries": retries });
        step(event, "charge", why)
    };
    let again = |more| step("step.retry_scheduled", "charge", more);
    let mut coded = told("step.failed", false);
    coded["code"] = json!("till_closed");
    vec![
        (
            end(ended(Failed, StepState::Ready, Some(Timestamp(AT.0 + 50)))),
            vec![
                told("step.failed", true),
                again(json!({ "attempt": 1, "retry_at": 1_795_600_000_050_i64 })),
            ],
        ),
        (
            end(ended(Lost, StepState::Ready, None)),
            vec![told("step.failed", true), again(json!({ "attempt": 1 }))],
        ),
        (
            end(Ended { code: Some(text("till_closed")), ..ended(Failed, StepState::Error, None) }),
            vec![coded],
        ),
        (end(ended(Lost, StepState::Error, None)), vec![told("step.failed", false)]),
        (end(ended(Failed, StepState::Cancelled, None)), vec![told("step.cancelled", false)]),
        (end(ended(Lost, StepState::Cancelled, None)), vec![told("step.cancelled", false)]),
        (end(ended(Completed, StepState::Complete, None)), vec![told("step.completed", false)]),
    ]
}

fn of_moves() -> Vec<(Happening, Vec<Value>)> {
    let moved = |state: StepState| {
        let event = match state {
            StepState::Complete | StepState::ResolvedManually => "step.resolved_manually",
            StepState::Skipped => "step.skipped",
            StepState::Cancelled => "step.cancelled",
            StepState::Error => "step.failed",
            StepState::Pending | StepState::Ready | StepState::Leased | StepState::InProgress => {
                "step.retried"
            }
        };
        (Happening::Moved(vec![(ship(), state)]), vec![step(event, "ship", json!({}))])
    };
    StepState::ALL.iter().copied().map(moved).collect()
}

fn of_batches() -> Vec<(Happening, Vec<Value>)> {
    use Happening::{Closed, Discrepancy};
    let more = |attempt: Option<u32>| match attempt {
        Some(attempt) => json!({ "batch": 5, "attempt": attempt, "detail": "it differs" }),
        None => json!({ "batch": 5, "detail": "it differs" }),
    };
    vec![
        (
            Closed(vec![
                (BATCH, BatchEnd::Reconciled),
                (BATCH, BatchEnd::Discrepancy),
                (BATCH, BatchEnd::Lost),
            ]),
            vec![
                other("batch.reconciled", json!({ "batch": 5, "discrepancy": false })),
                other("batch.reconciled", json!({ "batch": 5, "discrepancy": true })),
                other("batch.lost", json!({ "batch": 5 })),
            ],
        ),
        (
            Discrepancy(vec![
                differing(Some(TASK), Some(charge()), Some(2)),
                differing(Some(TASK), None, None),
                differing(None, None, None),
            ]),
            vec![
                step("batch.discrepancy", "charge", more(Some(2))),
                task("batch.discrepancy", more(None)),
                other("batch.discrepancy", more(None)),
            ],
        ),
    ]
}

fn of_the_rest() -> Vec<(Happening, Vec<Value>)> {
    use Happening::{Gone, Joined, Paused, PluginRegistered, PluginsChanged, Resumed, TemplateRegistered};
    let digest = Digest::of(b"component");
    let worker = |event| other(event, json!({ "worker": 4 }));
    let shop = || json!({ "scope": "namespace", "name": "shop" });
    let one = || json!({ "scope": "task", "name": "17" });
    let none = || json!({ "scope": "task", "name": "none" });
    let plugin = |event, version: &str| other(event, json!({ "plugin": format!("shop/pay@{version}") }));
    let changed = |state, event| {
        let versions = vec![text("1.0.0"), text("1.1.0")];
        let told = vec![plugin(event, "1.0.0"), plugin(event, "1.1.0")];
        (PluginsChanged(text("shop/pay"), versions, state), told)
    };
    let template = json!({ "namespace": "shop", "template": "order", "version": "1.0.0" });
    vec![
        (Joined(WORKER, text("box")), vec![other("worker.joined", json!({ "worker": 4, "name": "box" }))]),
        (
            Gone(vec![
                (WORKER, WorkerState::Left),
                (WORKER, WorkerState::Lost),
                (WORKER, WorkerState::Joined),
            ]),
            ["worker.left", "worker.lost", "worker.joined"].map(worker).to_vec(),
        ),
        (Paused(text("namespace"), text("shop")), vec![other("pause.begun", shop())]),
        (Paused(text("task"), text("17")), vec![task("pause.begun", one())]),
        (Paused(text("task"), text("none")), vec![other("pause.begun", none())]),
        (Resumed(text("namespace"), text("shop")), vec![other("pause.ended", shop())]),
        (Resumed(text("task"), text("17")), vec![task("pause.ended", one())]),
        (
            PluginRegistered(text("shop/pay"), text("1.0.0"), digest),
            vec![other(
                "plugin.registered",
                json!({ "plugin": "shop/pay@1.0.0", "digest": digest.to_string() }),
            )],
        ),
        changed(PluginState::Enabled, "plugin.enabled"),
        changed(PluginState::Disabled, "plugin.disabled"),
        changed(PluginState::Yanked, "plugin.yanked"),
        changed(PluginState::Quarantined, "plugin.quarantined"),
        (
            TemplateRegistered(text("shop"), text("order"), text("1.0.0")),
            vec![other("template.registered", template)],
        ),
    ]
}

/// Every happening, and the events that it is told as, without their positions and moments.
fn table() -> Vec<(Happening, Vec<Value>)> {
    [of_tasks(), of_attempts(), of_ends(), of_moves(), of_batches(), of_the_rest()].concat()
}

fn told(id: i64, content: Vec<Happening>) -> Vec<Value> {
    let events = tell(&row(id, content), &plans());
    events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

#[test]
fn each_happening_is_told_as_its_events() {
    let mut whole = Vec::new();
    let placed = |place: usize, mut event: Value| {
        event["position"] = json!(format!("12-{place}"));
        event["at"] = json!(AT.0);
        event
    };
    for (happening, expect) in table() {
        let expect_placed: Vec<Value> =
            expect.iter().cloned().enumerate().map(|(place, event)| placed(place, event)).collect();
        assert_eq!(told(12, vec![happening.clone()]), expect_placed, "{happening:?}");
        whole.extend(expect);
    }
    // One row of all: the order is theirs, and places go on from one to the next.
    let content = table().into_iter().map(|(happening, _)| happening).collect();
    let whole: Vec<Value> =
        whole.into_iter().enumerate().map(|(place, event)| placed(place, event)).collect();
    assert_eq!(told(12, content), whole);
}

#[test]
fn the_tasks_of_a_row_are_those_that_its_events_name() {
    for (happening, expect) in table() {
        let named: BTreeSet<i64> = expect.iter().filter_map(|event| event["task"].as_i64()).collect();
        let found = tasks(&row(1, vec![happening.clone()]));
        assert!(found.iter().map(|task| task.0).eq(named), "{happening:?}: {found:?}");
    }
}

#[test]
fn every_name_is_told_with_every_field_that_the_reference_promises() {
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in table().into_iter().flat_map(|(_, expect)| expect) {
        let name = event["event"].as_str().unwrap().to_owned();
        fields.entry(name).or_default().extend(event.as_object().unwrap().keys().cloned());
    }
    let names: BTreeSet<&str> = EventName::ALL.iter().map(|(name, _)| name.as_str()).collect();
    assert!(fields.keys().map(String::as_str).eq(names.iter().copied()), "{:?} of {names:?}", fields.keys());
    let mut promises = 0;
    for name in names {
        let begin = format!("| `{name}` | ");
        let line = PAGE.lines().find(|line| line.starts_with(&begin)).unwrap();
        let also = line.split(" | ").nth(2).unwrap_or_default();
        // Every second piece stands between two ticks.
        let mut promised: Vec<&str> = also.split('`').skip(1).step_by(2).collect();
        match name.split_once('.').unwrap().0 {
            "task" => promised.extend(["task", "namespace", "template", "version"]),
            "step" => promised.extend(["task", "namespace", "template", "version", "step"]),
            _ => {}
        }
        for field in promised {
            assert!(fields[name].contains(field), "{name} has no {field}");
            promises += 1;
        }
    }
    assert!(promises > 100, "the page was read wrongly: it makes {promises} promises");
}

#[test]
fn the_example_of_the_reference_is_what_is_told() {
    let before = Happening::Completed(vec![(ship(), 1); 3]);
    let fails = Happening::Ended(vec![ended(AttemptStatus::Failed, StepState::Ready, None)]);
    let event = tell(&row(1_204, vec![before, fails]), &plans()).swap_remove(3);
    let text = serde_json::to_string(&event).unwrap();
    let example = format!("id: {}\nevent: {}\ndata: {text}\n", event.position, event.event.as_str());
    assert!(PAGE.contains(&example), "{example}");
}
