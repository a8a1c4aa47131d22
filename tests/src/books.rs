//! The ledger's cross-check: what every task that ended well must show, whatever happened meanwhile.

use stepwright_store::{AttemptStatus, Store};
use stepwright_workflow::TaskId;

/// Checks one task: each of its attempts has a line, one of each step's completed, none failed by itself, and the step named
/// has this `value`. Returns how many attempts were lost with their workers.
///
/// # Panics
/// With what is wrong.
pub async fn check(store: &dyn Store, id: TaskId, step: &str, value: i64) -> usize {
    let task = store.task(id).await.expect("the store answers").expect("the task is there");
    let attempts = store.attempts(id).await.expect("the ledger");
    let mut lost = 0;
    for step in &task.steps_detail {
        let lines: Vec<_> = attempts.iter().filter(|line| line.step == step.id).collect();
        let numbers: Vec<u32> = lines.iter().map(|line| line.attempt).collect();
        let all: Vec<u32> = (1..=step.attempt).collect();
        assert_eq!(numbers, all, "task {id}, step {}: a line for each attempt", step.name);
        let count = |status| lines.iter().filter(|line| line.status == status).count();
        assert_eq!(count(AttemptStatus::Completed), 1, "task {id}, step {}", step.name);
        assert_eq!(count(AttemptStatus::Failed), 0, "task {id}, step {}: nothing fails by itself", step.name);
        lost += count(AttemptStatus::Lost);
    }
    let last = task.steps_detail.iter().find(|candidate| candidate.name == step).expect("the step");
    let output = last.output.as_ref().expect("an output").read::<serde_json::Value>().expect("JSON");
    assert_eq!(output["value"], value, "task {id}, step {step}");
    lost
}
