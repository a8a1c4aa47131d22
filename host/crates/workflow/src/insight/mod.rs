//! What can be told of a task as it stands: why each step waits, what could be claimed, which chain of steps takes the time, and
//! what holds it up. Pure functions of a view that whoever read the task makes.

mod context;
mod path;
mod reason;

use crate::finalize::StepGlance;
use crate::graph::Graph;
use crate::pause::PauseTarget;
use crate::step::StepState;
use crate::task::TaskState;
use crate::{Failure, TaskId, Timestamp};

pub use context::{Bottleneck, BottleneckKind, StepReason, TaskContext};
pub use path::{CriticalPath, critical_path};
pub use reason::{Reasons, one_line};

/// A task at one moment.
#[derive(Debug, Clone)]
pub struct TaskView<'a> {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// The pauses that cover it, or some of its steps.
    pub pauses: Vec<PauseView<'a>>,
    /// Its steps, by position.
    pub steps: Vec<StepView<'a>>,
}

/// A pause that covers some of a task's steps.
#[derive(Debug, Clone, Copy)]
pub struct PauseView<'a> {
    /// What is paused.
    pub target: &'a PauseTarget,
    /// Who paused it.
    pub who: &'a str,
    /// Why; may be empty.
    pub why: &'a str,
}

/// A step at one moment.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Names of its parents.
    pub parents: &'a [String],
    /// Where it stands.
    pub state: StepState,
    /// Attempts so far.
    pub attempt: u32,
    /// From when it may be claimed, if it must wait.
    pub ready_at: Option<Timestamp>,
    /// A pause covers it.
    pub paused: bool,
    /// The external handler that runs it, if no plugin does.
    pub external: Option<&'a str>,
    /// Who holds it, if it is leased.
    pub worker: Option<&'a str>,
    /// How far it is, from 0 to 1, if it said so.
    pub progress: Option<f64>,
    /// Its note for people.
    pub note: Option<&'a str>,
    /// Why its last attempt failed, unless it finished well since.
    pub failure: Option<&'a Failure>,
    /// From the beginning of its first recorded attempt to the end of its last one, waits for retries included, in microseconds; 0
    /// if none was recorded.
    pub time_us: u64,
}

impl StepView<'_> {
    /// What a summary needs of it.
    pub fn glance(&self) -> StepGlance {
        StepGlance { state: self.state, ready_at: self.ready_at, paused: self.paused }
    }

    fn waits(&self, now: Timestamp) -> bool {
        self.ready_at.is_some_and(|at| at > now)
    }

    /// Whether it could be claimed now.
    pub fn is_viable(&self, now: Timestamp) -> bool {
        self.state == StepState::Ready && !self.paused && !self.waits(now)
    }
}

impl TaskView<'_> {
    /// Who waits for whom.
    pub fn graph(&self) -> Graph {
        let positions: std::collections::HashMap<&str, u16> =
            self.steps.iter().map(|step| step.name).zip(0_u16..).collect();
        let parents = |step: &StepView<'_>| {
            step.parents.iter().filter_map(|name| positions.get(name.as_str()).copied()).collect()
        };
        Graph::of(self.steps.iter().map(parents).collect())
    }
}

#[cfg(test)]
mod samples {
    use super::{StepView, TaskView};
    use crate::TaskId;
    use crate::step::StepState;
    use crate::task::TaskState;

    /// Task 7 with these steps, in progress.
    pub(super) fn task<'a>(steps: &[StepView<'a>]) -> TaskView<'a> {
        TaskView { task: TaskId(7), state: TaskState::InProgress, pauses: Vec::new(), steps: steps.to_vec() }
    }

    /// A step that was not tried, or is held by `w1`.
    pub(super) fn step<'a>(name: &'a str, state: StepState, parents: &'a [String]) -> StepView<'a> {
        StepView {
            name,
            parents,
            state,
            attempt: 0,
            ready_at: None,
            paused: false,
            external: None,
            worker: state.is_leased().then_some("w1"),
            progress: None,
            note: None,
            failure: None,
            time_us: 0,
        }
    }
}
