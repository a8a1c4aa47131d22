//! The plans that rounds have met, each with its graph. Plans never change, so an entry is right for ever.

use std::collections::HashMap;
use std::sync::Arc;

use stepwright_store::{Round, Store, StoreError};
use stepwright_workflow::graph::Graph;
use stepwright_workflow::{Plan, PlanId, PlanStep, StepId};

/// Plans kept at once; a thousand of seven steps weigh a few megabytes.
const PLANS_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct PlanEntry {
    pub(crate) plan: Plan,
    pub(crate) graph: Graph,
}

impl PlanEntry {
    pub(crate) fn step(&self, id: StepId) -> Result<&PlanStep, StoreError> {
        self.plan.step(id.position()).ok_or_else(|| {
            let (steps, task) = (self.plan.steps.len(), id.task());
            StoreError::Inconsistent(format!(
                "step {id} of task {task} has position {}, but its plan has {steps} steps",
                id.position()
            ))
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Plans(HashMap<PlanId, Arc<PlanEntry>>);

impl Plans {
    /// A plan, read within the round if it is new.
    pub(crate) async fn get(
        &mut self,
        round: &mut dyn Round,
        id: PlanId,
    ) -> Result<Arc<PlanEntry>, StoreError> {
        match self.0.get(&id) {
            Some(entry) => Ok(entry.clone()),
            None => self.keep(id, round.plan(id).await?),
        }
    }

    /// The same outside a round.
    pub(crate) async fn look_up(
        &mut self,
        store: &dyn Store,
        id: PlanId,
    ) -> Result<Arc<PlanEntry>, StoreError> {
        match self.0.get(&id) {
            Some(entry) => Ok(entry.clone()),
            None => self.keep(id, store.plan(id).await?),
        }
    }

    fn keep(&mut self, id: PlanId, plan: Option<Plan>) -> Result<Arc<PlanEntry>, StoreError> {
        let plan = plan.ok_or_else(|| {
            StoreError::Inconsistent(format!("plan {id} is used by a task but is not stored"))
        })?;
        if self.0.len() >= PLANS_MAX {
            self.0.clear();
        }
        let entry = Arc::new(PlanEntry { graph: Graph::of_plan(&plan), plan });
        self.0.insert(id, entry.clone());
        Ok(entry)
    }
}
