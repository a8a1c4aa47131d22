//! The shape of a plan: who waits for whom. Built once per plan and kept beside it.

/// The edges of a DAG, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    parents: Vec<Vec<u16>>,
    children: Vec<Vec<u16>>,
}

impl Graph {
    /// The graph of the given parents' positions, one list per step. Positions out of range are ignored: a checked
    /// template has none.
    pub fn of(parents: Vec<Vec<u16>>) -> Self {
        let mut children = vec![Vec::new(); parents.len()];
        for (child, parents) in (0_u16..).zip(&parents) {
            for parent in parents {
                if let Some(children) = children.get_mut(usize::from(*parent)) {
                    children.push(child);
                }
            }
        }
        Self { parents, children }
    }

    /// The graph of a plan.
    pub fn of_plan(plan: &crate::Plan) -> Self {
        Self::of(plan.steps.iter().map(|step| step.parents.clone()).collect())
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The steps that `step` waits for.
    pub fn parents(&self, step: u16) -> &[u16] {
        self.parents.get(usize::from(step)).map_or(&[], Vec::as_slice)
    }

    /// The steps that wait for `step`.
    pub fn children(&self, step: u16) -> &[u16] {
        self.children.get(usize::from(step)).map_or(&[], Vec::as_slice)
    }

    /// For each step its distance from the roots: 0 for a step without parents, else one more than its deepest parent.
    /// Steps on a cycle, and those behind one, have no level.
    pub fn levels(&self) -> Vec<Option<u16>> {
        let mut levels: Vec<Option<u16>> = vec![None; self.len()];
        let mut waiting: Vec<usize> = self.parents.iter().map(Vec::len).collect();
        let mut frontier: Vec<u16> =
            (0_u16..).zip(&waiting).filter(|(_, n)| **n == 0).map(|(step, _)| step).collect();
        let mut level = 0;
        while !frontier.is_empty() {
            let mut next = Vec::new();
            for step in frontier {
                levels[usize::from(step)] = Some(level);
                for &child in self.children(step) {
                    waiting[usize::from(child)] -= 1;
                    if waiting[usize::from(child)] == 0 {
                        next.push(child);
                    }
                }
            }
            frontier = next;
            level = level.saturating_add(1);
        }
        levels
    }

    /// One cycle as positions, each the parent of the next and the last the parent of the first; `None` in a DAG.
    pub fn cycle(&self) -> Option<Vec<u16>> {
        let levels = self.levels();
        let stuck = |step: u16| levels.get(usize::from(step)).is_some_and(Option::is_none);
        let mut step = (0_u16..).take(self.len()).find(|step| stuck(*step))?;
        let mut seen = Vec::new();
        // Every stuck step has a stuck parent, so walking to parents must come round.
        loop {
            if let Some(start) = seen.iter().position(|earlier| *earlier == step) {
                let mut cycle = seen.split_off(start);
                cycle.reverse();
                return Some(cycle);
            }
            seen.push(step);
            step = self.parents(step).iter().copied().find(|parent| stuck(*parent))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_children_of_a_diamond() {
        let graph = Graph::of(vec![vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(graph.children(0), [1, 2]);
        assert_eq!(graph.levels(), [Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(graph.cycle(), None);
    }

    #[test]
    fn a_cycle_is_named_in_the_order_of_its_edges() {
        let graph = Graph::of(vec![vec![], vec![0, 3], vec![1], vec![2], vec![3]]);
        let cycle = graph.cycle().unwrap();
        for (parent, child) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
            assert!(graph.children(*parent).contains(child), "{cycle:?}");
        }
        assert_eq!(Graph::of(vec![vec![0]]).cycle(), Some(vec![0]));
    }
}
