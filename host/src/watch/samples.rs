//! Records for the tests of what people see.

use stepwright_store::{StepRecord, TaskRecord, TaskSummary};
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{Payload, PlanId, StepId, TaskId, Timestamp};

/// A task in progress of `shop/order@1.0.0`, with these steps: name, state, parents.
pub(crate) fn task(id: i64, steps: &[(&str, StepState, &[&str])]) -> TaskRecord {
    let count = |test: &dyn Fn(StepState) -> bool| {
        steps.iter().filter(|(_, state, _)| test(*state)).count().try_into().unwrap()
    };
    let summary = TaskSummary {
        id: TaskId(id),
        plan: PlanId(1),
        namespace: "shop".to_owned(),
        template: "order".to_owned(),
        version: "1.0.0".to_owned(),
        state: TaskState::InProgress,
        priority: 0,
        idempotency_key: None,
        created_at: Timestamp(0),
        started_at: Some(Timestamp(100)),
        finished_at: None,
        steps: steps.len().try_into().unwrap(),
        steps_finished: count(&StepState::finished_well),
        steps_in_error: count(&|state| state == StepState::Error),
    };
    let steps_detail = (0..).zip(steps).map(|(position, (name, state, parents))| StepRecord {
        id: StepId::new(TaskId(id), position),
        ..step(name, *state, parents)
    });
    TaskRecord {
        summary,
        context: Payload::null(),
        tags: Vec::new(),
        pauses: Vec::new(),
        steps_detail: steps_detail.collect(),
    }
}

/// A step that was tried once if it is past `ready`.
pub(crate) fn step(name: &str, state: StepState, parents: &[&str]) -> StepRecord {
    let tried = !matches!(state, StepState::Pending | StepState::Ready);
    StepRecord {
        id: StepId(0),
        name: name.to_owned(),
        parents: parents.iter().map(|name| (*name).to_owned()).collect(),
        state,
        attempt: u32::from(tried),
        failures: 0,
        losses: 0,
        retry_limit: 3,
        pending_parents: 0,
        ready_at: None,
        paused: false,
        external: None,
        worker: state.is_leased().then(|| "worker-1".to_owned()),
        batch: None,
        progress: None,
        note: None,
        output: None,
        failure: None,
        execution_us: (state == StepState::Complete).then_some(1_200),
    }
}
