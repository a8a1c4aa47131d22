//! The proof that nothing is stuck: every unfinished step has exactly one thing that will move it on.
//!
//! That is an unfinished parent, a place in the ready queue (at once or from a moment on), a pause, or a lease of a worker that
//! is there. A crash between two writes that must agree would leave a step with none, and nobody would ever come back to it.

use std::fmt;

use serde::Serialize;

use crate::graph::Graph;
use crate::step::StepState;
use crate::task::{StepCounts, TaskState, settle};

/// What the database says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFacts {
    /// Its place in the plan.
    pub position: u16,
    /// Where it stands.
    pub state: StepState,
    /// Parents that it still waits for, as counted.
    pub pending_parents: u32,
    /// It has a place in the ready queue.
    pub queued: bool,
    /// Its place is set aside, for as long as a pause covers it.
    pub parked: bool,
    /// The batch of its last attempt is open, and its worker is there.
    pub held: bool,
}

/// Something that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The count of parents that a step waits for is wrong: it would run too early, or never.
    ParentsMiscounted {
        /// The step.
        step: u16,
        /// What is counted.
        counted: u32,
        /// How many have not finished well.
        unfinished: u32,
    },
    /// A step is ready, and not in the queue.
    NotQueued {
        /// The step.
        step: u16,
    },
    /// A step is in the queue, and not ready.
    Queued {
        /// The step.
        step: u16,
        /// Its state.
        state: StepState,
    },
    /// A step is set aside for a pause, and nothing pauses it.
    Parked {
        /// The step.
        step: u16,
    },
    /// A step is leased, and nobody holds it.
    NotHeld {
        /// The step.
        step: u16,
    },
    /// The task's state is not what its steps say.
    Unsettled {
        /// Its state.
        state: TaskState,
        /// What the steps say.
        should_be: TaskState,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentsMiscounted { step, counted, unfinished } => {
                write!(f, "step {step} waits for {counted} parents, but {unfinished} have not finished well")
            }
            Self::NotQueued { step } => write!(f, "step {step} is ready, but not in the ready queue"),
            Self::Queued { step, state } => write!(f, "step {step} is in the ready queue, but {state}"),
            Self::Parked { step } => write!(f, "step {step} is set aside for a pause, but nothing pauses it"),
            Self::NotHeld { step } => write!(f, "step {step} is leased, but no worker holds it"),
            Self::Unsettled { state, should_be } => {
                write!(f, "the task is {state}, but by its steps it should be {should_be}")
            }
        }
    }
}

/// Everything that contradicts itself in a task whose state is not final. Steps come by position; `paused` says whether a pause
/// covers the step at a position.
pub fn audit(
    graph: &Graph,
    task: TaskState,
    steps: &[StepFacts],
    paused: &dyn Fn(u16) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let finished =
        |parent: &u16| steps.get(usize::from(*parent)).is_some_and(|step| step.state.finished_well());
    for facts in steps {
        let step = facts.position;
        let unfinished = graph.parents(step).iter().filter(|parent| !finished(parent)).count();
        let unfinished = u32::try_from(unfinished).unwrap_or(u32::MAX);
        if facts.state == StepState::Pending && facts.pending_parents != unfinished {
            findings.push(Finding::ParentsMiscounted { step, counted: facts.pending_parents, unfinished });
        }
        match (facts.state == StepState::Ready, facts.queued) {
            (true, false) => findings.push(Finding::NotQueued { step }),
            (false, true) => findings.push(Finding::Queued { step, state: facts.state }),
            _ => {}
        }
        if facts.parked && !paused(step) {
            findings.push(Finding::Parked { step });
        }
        if facts.state.is_leased() && !facts.held {
            findings.push(Finding::NotHeld { step });
        }
    }
    let should_be = settle(task, StepCounts::of(steps.iter().map(|step| step.state)));
    // What is found to be wrong above may be all that keeps the task from being settled.
    if should_be != task && findings.is_empty() {
        findings.push(Finding::Unsettled { state: task, should_be });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A diamond whose top has finished well and whose left side runs.
    fn diamond() -> Vec<StepFacts> {
        use StepState as S;
        let states = [(S::Complete, 0), (S::Leased, 0), (S::Ready, 0), (S::Pending, 2)];
        (0..)
            .zip(states)
            .map(|(position, (state, pending_parents))| StepFacts {
                position,
                state,
                pending_parents,
                queued: state == S::Ready,
                parked: false,
                held: state == S::Leased,
            })
            .collect()
    }

    fn check(change: impl Fn(&mut Vec<StepFacts>), task: TaskState, expect: &[Finding]) {
        let graph = Graph::of(vec![vec![], vec![0], vec![0], vec![1, 2]]);
        let mut steps = diamond();
        change(&mut steps);
        // The right side is covered by a pause.
        assert_eq!(audit(&graph, task, &steps, &|step| step == 2), expect);
    }

    #[test]
    fn whatever_would_be_stuck_is_found() {
        use StepState as S;
        let running = TaskState::InProgress;
        check(|_| {}, running, &[]);
        check(|steps| steps[1].held = false, running, &[Finding::NotHeld { step: 1 }]);
        check(|steps| steps[2].queued = false, running, &[Finding::NotQueued { step: 2 }]);
        check(|steps| steps[3].queued = true, running, &[Finding::Queued { step: 3, state: S::Pending }]);
        check(|steps| steps[2].parked = true, running, &[]);
        check(
            |steps| (steps[1].state, steps[1].queued, steps[1].parked) = (S::Ready, true, true),
            running,
            &[Finding::Parked { step: 1 }],
        );
        let miscounted = Finding::ParentsMiscounted { step: 3, counted: 1, unfinished: 2 };
        check(|steps| steps[3].pending_parents = 1, running, &[miscounted]);
        let complete = |steps: &mut Vec<StepFacts>| {
            for step in steps {
                (step.state, step.pending_parents, step.queued, step.held) = (S::Complete, 0, false, false);
            }
        };
        let unsettled = Finding::Unsettled { state: running, should_be: TaskState::Complete };
        check(complete, running, &[unsettled]);
        check(complete, TaskState::Complete, &[]);
    }

    #[test]
    fn a_task_in_error_waits_for_its_operator() {
        use StepState as S;
        let failed = |steps: &mut Vec<StepFacts>| {
            (steps[1].state, steps[1].held) = (S::Error, false);
            (steps[2].state, steps[2].queued) = (S::Complete, false);
            steps[3].pending_parents = 1;
        };
        check(failed, TaskState::Error, &[]);
        let unsettled = Finding::Unsettled { state: TaskState::InProgress, should_be: TaskState::Error };
        check(failed, TaskState::InProgress, &[unsettled]);
    }
}
