//! A task's execution context: all that its steps say of how far it is, what could run, and what holds it up.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CriticalPath, Reasons, StepView, TaskView, critical_path};
use crate::finalize::{ExecutionStatus, RecommendedAction, StepGlance, completion_percent, summarise};
use crate::graph::Graph;
use crate::step::StepState;
use crate::task::TaskState;
use crate::{TaskId, Timestamp, when};

/// Steps that are weighed as the bottleneck of an unfinished task: each takes a walk along all that waits for it.
const CANDIDATES_MAX: usize = 256;

/// What can be told of a task as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskContext {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// How many of its steps stand in each state; states without steps are left out.
    pub steps: BTreeMap<StepState, u32>,
    /// What it is doing.
    pub execution_status: ExecutionStatus,
    /// What is best done about it.
    pub recommended_action: RecommendedAction,
    /// Steps that finished well, in whole per cent of all, rounded down.
    pub completion_percent: u8,
    /// The distance of each step from those that wait for nothing, which have 0: one more than that of its deepest parent.
    pub dependency_levels: BTreeMap<String, u16>,
    /// Steps that could be claimed now, by position.
    pub viable_steps: Vec<String>,
    /// The chain of steps that took the longest.
    pub critical_path: CriticalPath,
    /// What holds it up, or held it up the longest; `None` where nothing was recorded.
    pub bottleneck: Option<Bottleneck>,
    /// Steps that wait, run or failed, by position.
    pub reasons: Vec<StepReason>,
}

/// Why one step is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReason {
    /// The step.
    pub step: String,
    /// What it waits for, what it does, or why it failed.
    pub why: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The step that holds a task up most. While the task is unfinished: a failed step before one that is paused, and that before any
/// other that is not waiting for a parent; among equals the one that most steps wait for, then the one that took longest so far.
/// Once it has ended: the step of the critical path that took longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bottleneck {
    /// The step.
    pub step: String,
    /// How it holds the task up.
    pub kind: BottleneckKind,
    /// Unfinished steps that wait for it, directly or not.
    pub dependants: u32,
    /// The same as a sentence for people.
    pub why: String,
}

/// How a step holds its task up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckKind {
    /// It took longest of the critical path of a task that has ended.
    Longest,
    /// It waits for a worker.
    Ready,
    /// It waits for its retry time, or for the moment that the task was started for.
    Waiting,
    /// A worker has it.
    Running,
    /// It is covered by a pause.
    Paused,
    /// It is in error.
    Failed,
}

impl TaskContext {
    /// Of this view, at this moment.
    pub fn of(view: &TaskView<'_>, now: Timestamp) -> Self {
        let graph = view.graph();
        let glances: Vec<StepGlance> = view.steps.iter().map(StepView::glance).collect();
        let (execution_status, recommended_action) = summarise(view.state, &glances, now);
        let mut steps = BTreeMap::new();
        for step in &view.steps {
            *steps.entry(step.state).or_insert(0) += 1;
        }
        let levels = view.steps.iter().zip(graph.levels());
        let reasons = Reasons::of(view, now);
        let critical_path = critical_path(view, &graph);
        Self {
            task: view.task,
            state: view.state,
            steps,
            execution_status,
            recommended_action,
            completion_percent: completion_percent(&glances),
            dependency_levels: levels
                .filter_map(|(step, level)| Some((step.name.to_owned(), level?)))
                .collect(),
            viable_steps: viable_steps(view, now),
            bottleneck: if view.state.is_final() {
                longest(view, &critical_path)
            } else {
                holds_up(view, &graph, &reasons, now)
            },
            critical_path,
            reasons: view.steps.iter().filter_map(|step| reasons.told(step)).collect(),
        }
    }
}

impl Reasons<'_> {
    /// Why the step is where it is and what to do about it; `None` where its state says all.
    fn told(&self, step: &StepView<'_>) -> Option<StepReason> {
        let why = Some(self.why(step)).filter(|why| !why.is_empty())?;
        Some(StepReason { step: step.name.to_owned(), why, advice: self.advice(step) })
    }
}

/// A task that is not final may have steps that could be claimed; of one that is, nothing is claimed any more.
fn viable_steps(view: &TaskView<'_>, now: Timestamp) -> Vec<String> {
    let viable = view.steps.iter().filter(|step| !view.state.is_final() && step.is_viable(now));
    viable.map(|step| step.name.to_owned()).collect()
}

fn longest(view: &TaskView<'_>, path: &CriticalPath) -> Option<Bottleneck> {
    let on_path = view.steps.iter().filter(|step| path.steps.iter().any(|name| name == step.name));
    let step = on_path.rev().max_by_key(|step| step.time_us).filter(|step| step.time_us > 0)?;
    let share = u128::from(step.time_us) * 100 / u128::from(path.time_us.max(1));
    let why = format!("took {}, {share} % of the critical path", when::micros(step.time_us));
    Some(Bottleneck { step: step.name.to_owned(), kind: BottleneckKind::Longest, dependants: 0, why })
}

fn holds_up(view: &TaskView<'_>, graph: &Graph, reasons: &Reasons<'_>, now: Timestamp) -> Option<Bottleneck> {
    let mut candidates: Vec<(BottleneckKind, u16)> =
        (0_u16..).zip(&view.steps).filter_map(|(at, step)| Some((kind(step, now)?, at))).collect();
    candidates.sort_by_key(|(kind, at)| (std::cmp::Reverse(*kind), *at));
    // Those that are neither failed nor paused are equals.
    let rank = |kind: BottleneckKind| kind.max(BottleneckKind::Running);
    let weighed = candidates.into_iter().take(CANDIDATES_MAX).map(|(kind, at)| {
        let time_us = view.steps[usize::from(at)].time_us;
        (rank(kind), dependants(view, graph, at), time_us, std::cmp::Reverse(at), kind)
    });
    let (_, dependants, _, std::cmp::Reverse(at), kind) = weighed.max()?;
    let step = &view.steps[usize::from(at)];
    let mut why = match (kind, reasons.why(step)) {
        (BottleneckKind::Failed, why) if !why.is_empty() => format!("failed: {why}"),
        (_, why) if why.is_empty() => step.state.as_str().to_owned(),
        (_, why) => why,
    };
    match dependants {
        0 => {}
        1 => why.push_str("; 1 step waits for it"),
        many => why.push_str(&format!("; {many} steps wait for it")),
    }
    Some(Bottleneck { step: step.name.to_owned(), kind, dependants, why })
}

/// How a step could hold its task up; `None` if it has ended, or waits for others itself.
fn kind(step: &StepView<'_>, now: Timestamp) -> Option<BottleneckKind> {
    match step.state {
        StepState::Error => Some(BottleneckKind::Failed),
        StepState::Leased | StepState::InProgress => Some(BottleneckKind::Running),
        StepState::Ready if step.waits(now) => Some(BottleneckKind::Waiting),
        StepState::Ready if step.paused => Some(BottleneckKind::Paused),
        StepState::Ready => Some(BottleneckKind::Ready),
        StepState::Pending
        | StepState::Complete
        | StepState::ResolvedManually
        | StepState::Skipped
        | StepState::Cancelled => None,
    }
}

/// How many unfinished steps wait for this one, directly or not.
fn dependants(view: &TaskView<'_>, graph: &Graph, step: u16) -> u32 {
    let mut seen = vec![false; view.steps.len()];
    let mut open = vec![step];
    let mut count = 0;
    while let Some(step) = open.pop() {
        for child in graph.children(step).iter().copied() {
            let state = view.steps[usize::from(child)].state;
            if std::mem::replace(&mut seen[usize::from(child)], true) || state.finished_well() {
                continue;
            }
            count += 1;
            open.push(child);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::samples::{step, task};
    use crate::{Failure, FailureClass};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// `a`; `b` and `c` after it; `d` after both; `e` after `c`.
    fn check(change: impl FnOnce(&mut TaskView<'_>), test: impl FnOnce(&TaskContext)) {
        let (of_a, of_both, of_c) = (names(&["a"]), names(&["b", "c"]), names(&["c"]));
        let steps = [
            StepView { time_us: 100, ..step("a", StepState::Complete, &[]) },
            step("b", StepState::Ready, &of_a),
            step("c", StepState::Leased, &of_a),
            step("d", StepState::Pending, &of_both),
            step("e", StepState::Pending, &of_c),
        ];
        let mut view = task(&steps);
        change(&mut view);
        test(&TaskContext::of(&view, Timestamp(1_000)));
    }

    fn bottleneck(context: &TaskContext) -> (&str, BottleneckKind, u32, &str) {
        let found = context.bottleneck.as_ref().unwrap();
        (&found.step, found.kind, found.dependants, &found.why)
    }

    #[test]
    fn a_context_says_where_everything_stands() {
        check(
            |_| {},
            |context| {
                let text = serde_json::to_value(context).unwrap();
                let expect = serde_json::json!({
                    "task": 7,
                    "state": "in_progress",
                    "steps": {"complete": 1, "ready": 1, "leased": 1, "pending": 2},
                    "execution_status": "processing",
                    "recommended_action": "wait_for_completion",
                    "completion_percent": 20,
                    "dependency_levels": {"a": 0, "b": 1, "c": 1, "d": 2, "e": 2},
                    "viable_steps": ["b"],
                    "critical_path": {"steps": ["a", "b", "d"], "time_us": 100, "unfinished": 2},
                    "bottleneck": {"step": "c", "kind": "running", "dependants": 2, "why": "on w1; 2 steps wait for it"},
                    "reasons": [
                        {"step": "b", "why": "waits for a free worker",
                         "advice": "if it stays so, see whether a worker has room: 'stepwright worker list'"},
                        {"step": "c", "why": "on w1"},
                        {"step": "d", "why": "after b, c"},
                        {"step": "e", "why": "after c"},
                    ],
                });
                assert_eq!(text, expect);
            },
        );
    }

    #[test]
    fn what_nobody_goes_on_with_is_the_bottleneck_before_anything_else() {
        let paused = |view: &mut TaskView<'_>| view.steps[1].paused = true;
        check(paused, |context| {
            assert_eq!(bottleneck(context), ("b", BottleneckKind::Paused, 1, "ready; 1 step waits for it"));
            assert_eq!(context.viable_steps, [""; 0]);
        });
        let failure = Failure::new(FailureClass::Permanent, "no such card");
        check(
            |view| {
                view.steps[1].paused = true;
                view.steps[4] = StepView { state: StepState::Error, ..view.steps[4] };
            },
            |context| assert_eq!(bottleneck(context), ("e", BottleneckKind::Failed, 0, "error")),
        );
        let (parents, mut view) = (names(&[]), task(&[]));
        view.steps = vec![StepView { failure: Some(&failure), ..step("a", StepState::Error, &parents) }];
        let context = TaskContext::of(&view, Timestamp(0));
        assert_eq!(bottleneck(&context).3, "failed: permanent: no such card");
    }

    #[test]
    fn a_step_that_waits_for_its_time_is_not_viable() {
        check(
            |view| {
                (view.steps[1].ready_at, view.steps[2].state) = (Some(Timestamp(2_000)), StepState::Complete);
            },
            |context| {
                assert_eq!(context.viable_steps, [""; 0]);
                let why = "begins in 1 s, at 1970-01-01T00:00:02.000Z; 1 step waits for it";
                assert_eq!(bottleneck(context), ("b", BottleneckKind::Waiting, 1, why));
            },
        );
    }

    #[test]
    fn of_a_task_that_has_ended_the_longest_step_is_named() {
        let ended = |view: &mut TaskView<'_>| {
            view.state = TaskState::Complete;
            for step in &mut view.steps {
                step.state = StepState::Complete;
            }
            view.steps[2].time_us = 300;
        };
        check(ended, |context| {
            assert_eq!(
                bottleneck(context),
                ("c", BottleneckKind::Longest, 0, "took 300 µs, 75 % of the critical path")
            );
            assert_eq!(context.critical_path.steps, ["a", "c", "d"]);
            assert_eq!((context.viable_steps.len(), context.reasons.len()), (0, 0));
        });
        check(
            |view| {
                ended(view);
                view.steps.iter_mut().for_each(|step| step.time_us = 0);
            },
            |context| assert_eq!(context.bottleneck, None),
        );
    }
}
