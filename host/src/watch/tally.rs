//! Many tasks at once: how many stand where.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use stepwright_workflow::TaskId;
use stepwright_workflow::task::TaskState;

/// How many tasks stand in each state; states without tasks are left out.
pub(crate) type Counts = BTreeMap<TaskState, u64>;

/// Some tasks and their states, as far as they were seen.
#[derive(Debug)]
pub(crate) struct Tally {
    tasks: Vec<TaskId>,
    states: HashMap<TaskId, TaskState>,
}

/// One line of `--watch --json` for many tasks.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "counts")]
pub(crate) struct CountsLine {
    /// How many tasks are watched.
    pub(crate) tasks: u64,
    /// How many of them are settled.
    pub(crate) settled: u64,
    /// How many stand where.
    pub(crate) counts: Counts,
}

impl Tally {
    /// These tasks, each once and none of them seen yet.
    pub(crate) fn of(tasks: &[TaskId]) -> Self {
        let mut tasks = tasks.to_vec();
        tasks.sort_unstable();
        tasks.dedup();
        Self { tasks, states: HashMap::new() }
    }

    /// Those that are not known to be settled: only they need be looked at again.
    pub(crate) fn open(&self) -> Vec<TaskId> {
        let settled = |task: &TaskId| self.states.get(task).is_some_and(|state| state.is_settled());
        self.tasks.iter().copied().filter(|task| !settled(task)).collect()
    }

    /// Takes in what was seen.
    pub(crate) fn see(&mut self, states: &[(TaskId, TaskState)]) {
        self.states.extend(states.iter().copied());
    }

    /// Where a task stood when it was last seen.
    pub(crate) fn state(&self, task: TaskId) -> Option<TaskState> {
        self.states.get(&task).copied()
    }

    /// How many stand where.
    pub(crate) fn line(&self) -> CountsLine {
        let mut counts = Counts::new();
        for state in self.states.values() {
            *counts.entry(*state).or_default() += 1;
        }
        let settled = counts.iter().filter(|(state, _)| state.is_settled()).map(|(_, count)| count).sum();
        CountsLine { tasks: self.tasks.len() as u64, settled, counts }
    }
}

impl std::fmt::Display for CountsLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts: Vec<String> =
            self.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        write!(f, "{} of {} tasks settled: {}", self.settled, self.tasks, counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_tasks_are_not_looked_at_again() {
        let mut tally = Tally::of(&[TaskId(2), TaskId(1), TaskId(3), TaskId(1)]);
        assert_eq!(tally.open(), [TaskId(1), TaskId(2), TaskId(3)]);
        tally.see(&[(TaskId(1), TaskState::Complete), (TaskId(2), TaskState::InProgress)]);
        tally.see(&[(TaskId(3), TaskState::Error)]);
        assert_eq!(tally.open(), [TaskId(2)]);
        let line = tally.line();
        assert_eq!(line.to_string(), "2 of 3 tasks settled: 1 in_progress, 1 complete, 1 error");
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"event":"counts","tasks":3,"settled":2,"counts":{"in_progress":1,"complete":1,"error":1}}"#
        );
    }
}
