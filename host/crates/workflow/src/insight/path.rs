//! The critical path: the chain of steps that took the longest, and so what a faster task would have to change.

use serde::Serialize;

use super::TaskView;
use crate::graph::Graph;

/// A chain of steps, each a parent of the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CriticalPath {
    /// Their names, from the first to the last.
    pub steps: Vec<String>,
    /// What their recorded attempts took together, waits for retries included, in microseconds.
    pub time_us: u64,
    /// How many of them have not finished well. What these will take is not known, so it is not in the sum.
    pub unfinished: u32,
}

/// The chain with the largest sum of times; of equal ones the longest, so that a task which has not begun has its longest chain.
pub fn critical_path(view: &TaskView<'_>, graph: &Graph) -> CriticalPath {
    let order = in_order(graph);
    // Of each step: what the best chain to it took with it, how long it is, and through which parent it comes.
    let mut best: Vec<(u64, u32, Option<u16>)> = vec![(0, 0, None); view.steps.len()];
    for step in order {
        let before = graph.parents(step).iter().copied();
        let before = before.max_by_key(|parent| {
            let (time, steps, _) = best[usize::from(*parent)];
            (time, steps, std::cmp::Reverse(*parent))
        });
        let (time, steps) =
            before.map_or((0, 0), |parent| (best[usize::from(parent)].0, best[usize::from(parent)].1));
        let own = view.steps[usize::from(step)].time_us;
        best[usize::from(step)] = (time.saturating_add(own), steps + 1, before);
    }
    let last =
        (0_u16..).zip(&best).max_by_key(|(step, (time, steps, _))| (*time, *steps, std::cmp::Reverse(*step)));
    let Some((last, (time_us, ..))) = last else { return CriticalPath::default() };
    let mut chain = vec![last];
    while let Some(parent) = best[usize::from(chain[chain.len() - 1])].2 {
        chain.push(parent);
    }
    chain.reverse();
    let steps = || chain.iter().map(|step| &view.steps[usize::from(*step)]);
    let unfinished = steps().filter(|step| !step.state.finished_well()).count();
    CriticalPath {
        steps: steps().map(|step| step.name.to_owned()).collect(),
        time_us: *time_us,
        unfinished: u32::try_from(unfinished).unwrap_or(u32::MAX),
    }
}

/// Every step after its parents. Steps on a cycle are left out; a checked template has none.
fn in_order(graph: &Graph) -> Vec<u16> {
    let mut order: Vec<(u16, u16)> =
        graph.levels().into_iter().zip(0_u16..).filter_map(|(level, step)| Some((level?, step))).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, step)| step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::StepView;
    use crate::insight::samples::{step, task};
    use crate::step::StepState;
    use proptest::prelude::*;

    /// Every chain from `step` on, by hand.
    fn longest(graph: &Graph, times: &[u64], step: u16) -> (u64, u32) {
        let below =
            graph.children(step).iter().map(|child| longest(graph, times, *child)).max().unwrap_or((0, 0));
        (times[usize::from(step)] + below.0, below.1 + 1)
    }

    proptest! {
        #[test]
        fn no_chain_takes_longer(
            edges in proptest::collection::vec(any::<u16>(), 9),
            times in proptest::collection::vec(0_u64..4, 9),
        ) {
            let names: Vec<String> = (0..9).map(|step| format!("s{step}")).collect();
            // A step's parents are among those before it, one bit each.
            let parents: Vec<Vec<String>> = edges.iter().enumerate().map(|(child, bits)| {
                (0..child).filter(|parent| bits >> parent & 1 == 1).map(|parent| names[parent].clone()).collect()
            }).collect();
            let steps: Vec<StepView<'_>> = (0..9).map(|at| StepView {
                time_us: times[at], ..step(&names[at], StepState::Complete, &parents[at])
            }).collect();
            let view = task(&steps);
            let graph = view.graph();
            let found = critical_path(&view, &graph);
            let expect = (0..9).map(|step| longest(&graph, &times, step)).max().unwrap();
            prop_assert_eq!((found.time_us, u32::try_from(found.steps.len()).unwrap()), expect);
            for pair in found.steps.windows(2) {
                let child = names.iter().position(|name| *name == pair[1]).unwrap();
                prop_assert!(parents[child].contains(&pair[0]));
            }
        }
    }

    #[test]
    fn what_has_not_finished_is_counted_and_not_guessed() {
        let after_a = ["a".to_owned()];
        let steps = [
            StepView { time_us: 50, ..step("a", StepState::Complete, &[]) },
            StepView { time_us: 9, ..step("b", StepState::Complete, &after_a) },
            StepView { time_us: 10, ..step("c", StepState::Error, &after_a) },
        ];
        let view = task(&steps);
        let expect = CriticalPath { steps: vec!["a".to_owned(), "c".to_owned()], time_us: 60, unfinished: 1 };
        assert_eq!(critical_path(&view, &view.graph()), expect);
        assert_eq!(critical_path(&task(&[]), &Graph::of(Vec::new())), CriticalPath::default());
    }
}
