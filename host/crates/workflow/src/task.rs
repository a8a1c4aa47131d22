//! The states of a task, and how its steps decide them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::step::{StepState, states};

states! {
    /// Where a task stands.
    TaskState {
        /// No step was claimed yet.
        Pending = "pending",
        /// Steps run, wait or can become ready.
        InProgress = "in_progress",
        /// Every step finished well.
        Complete = "complete",
        /// Nothing runs, nothing can become ready by itself, and a step is in `error`. Not terminal: an operator can repair it.
        Error = "error",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// An operator declared it done.
        ResolvedManually = "resolved_manually",
    }
}

impl TaskState {
    /// Nothing will change the task any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Cancelled | Self::ResolvedManually)
    }

    /// Whoever waits for the task need wait no longer, unless an operator repairs it.
    pub fn is_settled(self) -> bool {
        self.is_final() || self == Self::Error
    }
}

/// How many of a task's steps stand where; all that decides the task's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepCounts {
    /// Waiting for a parent.
    pub pending: u32,
    /// `ready`, `leased` or `in_progress`.
    pub active: u32,
    /// In `error`.
    pub error: u32,
    /// `complete`, `skipped` or `resolved_manually`.
    pub finished_well: u32,
}

impl StepCounts {
    /// Counts the states of all of a task's steps; cancelled ones do not count.
    pub fn of(states: impl IntoIterator<Item = StepState>) -> Self {
        let mut counts = Self::default();
        for state in states {
            match state {
                StepState::Pending => counts.pending += 1,
                StepState::Ready | StepState::Leased | StepState::InProgress => counts.active += 1,
                StepState::Error => counts.error += 1,
                StepState::Complete | StepState::Skipped | StepState::ResolvedManually => {
                    counts.finished_well += 1;
                }
                StepState::Cancelled => {}
            }
        }
        counts
    }
}

/// The state that the steps give a task which is `in_progress` or in `error`. Other states are not the steps' to decide.
pub fn settle(state: TaskState, counts: StepCounts) -> TaskState {
    match state {
        TaskState::InProgress | TaskState::Error | TaskState::Pending if counts.active > 0 => match state {
            TaskState::Pending => TaskState::Pending,
            _ => TaskState::InProgress,
        },
        TaskState::InProgress | TaskState::Error | TaskState::Pending => {
            if counts.error > 0 {
                TaskState::Error
            } else if counts.pending == 0 {
                TaskState::Complete
            } else {
                state
            }
        }
        state => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: TaskState, states: &[StepState], expect: TaskState) {
        assert_eq!(settle(from, StepCounts::of(states.iter().copied())), expect, "{from} with {states:?}");
    }

    #[test]
    fn the_steps_decide_the_tasks_state() {
        use StepState as S;
        use TaskState as T;
        check(T::InProgress, &[S::Complete, S::Skipped, S::ResolvedManually], T::Complete);
        check(T::InProgress, &[S::Complete, S::Error, S::Pending], T::Error);
        check(T::InProgress, &[S::Error, S::Leased], T::InProgress);
        check(T::InProgress, &[S::Error, S::Ready], T::InProgress);
        check(T::Error, &[S::Complete, S::Ready], T::InProgress);
        check(T::Error, &[S::Complete, S::ResolvedManually], T::Complete);
        check(T::Pending, &[S::Ready, S::Pending], T::Pending);
        for settled in [T::Complete, T::Cancelled, T::ResolvedManually] {
            check(settled, &[S::Error], settled);
        }
    }
}
