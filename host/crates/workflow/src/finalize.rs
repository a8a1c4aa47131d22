//! What people and programs are told about a task: derived from its steps each time, never stored.

use serde::Serialize;

use crate::Timestamp;
use crate::step::StepState;
use crate::task::TaskState;

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// A step could be claimed now.
    HasReadySteps,
    /// A worker holds a step.
    Processing,
    /// Steps wait for parents.
    WaitingForDependencies,
    /// Steps wait for their retry time, or for the moment that the task was started for.
    WaitingForRetry,
    /// What could be claimed is covered by a pause.
    Paused,
    /// Nothing can move without an operator.
    BlockedByFailures,
    /// Every step finished well, or the task was ended by somebody.
    AllComplete,
}

/// What is best done about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecommendedAction {
    /// Make sure that a worker is connected: steps are ready.
    ExecuteReadySteps,
    /// Nothing: it runs, or waits for a retry.
    WaitForCompletion,
    /// Nothing: parents run.
    WaitForDependencies,
    /// Retry, resolve or skip the failed steps.
    HandleFailures,
    /// Resume what is paused, once the reason for it is gone.
    Resume,
    /// Nothing: it is done.
    FinalizeTask,
}

/// The standing of one step, as far as the summary needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepGlance {
    /// Its state.
    pub state: StepState,
    /// When it may be claimed again, if it waits for a retry.
    pub ready_at: Option<Timestamp>,
    /// A pause covers it.
    pub paused: bool,
}

/// What a task is doing and what to do about it.
pub fn summarise(
    task: TaskState,
    steps: &[StepGlance],
    now: Timestamp,
) -> (ExecutionStatus, RecommendedAction) {
    use ExecutionStatus as E;
    let any = |test: &dyn Fn(&StepGlance) -> bool| steps.iter().any(test);
    let waits = |step: &StepGlance| step.ready_at.is_some_and(|at| at > now);
    let status = if task.is_final() {
        E::AllComplete
    } else if any(&|step| step.state.is_leased()) {
        E::Processing
    } else if any(&|step| step.state == StepState::Ready && !waits(step) && !step.paused) {
        E::HasReadySteps
    } else if any(&|step| step.state == StepState::Ready && step.paused) {
        E::Paused
    } else if any(&|step| step.state == StepState::Ready) {
        E::WaitingForRetry
    } else if any(&|step| step.state == StepState::Error) {
        E::BlockedByFailures
    } else if any(&|step| step.state == StepState::Pending) {
        E::WaitingForDependencies
    } else {
        E::AllComplete
    };
    let action = match status {
        E::HasReadySteps => RecommendedAction::ExecuteReadySteps,
        E::Processing | E::WaitingForRetry => RecommendedAction::WaitForCompletion,
        E::WaitingForDependencies => RecommendedAction::WaitForDependencies,
        E::BlockedByFailures => RecommendedAction::HandleFailures,
        E::Paused => RecommendedAction::Resume,
        E::AllComplete => RecommendedAction::FinalizeTask,
    };
    (status, action)
}

/// Steps that finished well, in whole per cent of all steps, rounded down; 100 for a task without steps.
pub fn completion_percent(steps: &[StepGlance]) -> u8 {
    let done = steps.iter().filter(|step| step.state.finished_well()).count();
    match steps.len() {
        0 => 100,
        all => u8::try_from(done * 100 / all).unwrap_or(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_holds_a_task_up() {
        let now = Timestamp(1_000);
        let glance = |state, ready_at: Option<i64>| StepGlance {
            state,
            ready_at: ready_at.map(Timestamp),
            paused: false,
        };
        let paused = |state| StepGlance { state, ready_at: None, paused: true };
        let check = |task, steps: &[StepGlance], expect| {
            assert_eq!(summarise(task, steps, now).0, expect, "{steps:?}");
        };
        use {ExecutionStatus as E, StepState as S, TaskState as T};
        check(T::InProgress, &[glance(S::Leased, None), glance(S::Ready, None)], E::Processing);
        check(T::InProgress, &[glance(S::Ready, Some(999)), glance(S::Error, None)], E::HasReadySteps);
        check(T::InProgress, &[glance(S::Ready, Some(1_001)), glance(S::Error, None)], E::WaitingForRetry);
        check(T::InProgress, &[paused(S::Ready), glance(S::Pending, None)], E::Paused);
        check(T::InProgress, &[paused(S::Ready), glance(S::Ready, None)], E::HasReadySteps);
        check(T::InProgress, &[paused(S::Leased), paused(S::Ready)], E::Processing);
        check(T::Error, &[glance(S::Error, None), glance(S::Pending, None)], E::BlockedByFailures);
        check(T::Complete, &[glance(S::Complete, None)], E::AllComplete);
        check(T::Cancelled, &[glance(S::Error, None)], E::AllComplete);
    }

    #[test]
    fn completion_is_a_percentage_once() {
        let glance = |state| StepGlance { state, ready_at: None, paused: false };
        assert_eq!(completion_percent(&[glance(StepState::Complete), glance(StepState::Ready)]), 50);
        assert_eq!(completion_percent(&[]), 100);
    }
}
