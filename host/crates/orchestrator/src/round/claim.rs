//! Claiming: the next steps for the workers that have room, with all that a worker must know.

use std::collections::HashMap;
use std::sync::Arc;

use stepwright_store::{
    AttemptLine, AttemptStatus, BatchEnd, ClosedBatch, NewBatch, ReadyStep, StoreError, TaskInput,
};
use stepwright_transport::wire::{Batch, StepTask};
use stepwright_workflow::batch::{Candidate, Packed, deal};
use stepwright_workflow::step::StepEvent;
use stepwright_workflow::{AttemptKey, Failure, FailureClass, Payload, StepId, TaskId};

use super::{RoundInput, SentBatch, Work};
use crate::book::BookEntry;
use crate::pauses::covered;
use crate::plans::PlanEntry;

/// What a step weighs on the wire beyond its payloads: names, ids and punctuation.
const STEP_BYTES: usize = 512;

/// Everything that the claimable steps read, fetched in two statements.
struct Materials {
    plans: Vec<Arc<PlanEntry>>,
    inputs: HashMap<TaskId, TaskInput>,
    outputs: HashMap<StepId, Payload>,
}

impl Work<'_> {
    pub(super) async fn claim(&mut self, input: &RoundInput) -> Result<(), StoreError> {
        let mut found = self.of_plugins(input).await?;
        found.append(&mut self.of_external_handlers(input).await?);
        self.deal_out(found, input).await?;
        self.out.concerns_others |= self.out.more || self.out.more_external;
        Ok(())
    }

    async fn deal_out(&mut self, found: Vec<ReadyStep>, input: &RoundInput) -> Result<(), StoreError> {
        let ready = self.unpaused(found).await?;
        if ready.is_empty() {
            return Ok(());
        }
        let materials = self.materials(&ready).await?;
        let candidates = candidates(&ready, &materials)?;
        let (fits, oversized): (Vec<usize>, Vec<usize>) =
            (0..ready.len()).partition(|at| candidates[*at].bytes <= self.step_bytes_max());
        let fitting: Vec<Candidate> = fits.iter().map(|at| candidates[*at]).collect();
        let packed = deal(&fitting, &input.rooms, self.options.batch);
        self.left_behind(&fitting, &packed);
        self.lease(
            &ready,
            &candidates,
            &materials,
            packed.into_iter().map(|batch| by_ready(batch, &fits)).collect(),
        )
        .await?;
        self.refuse_oversized(&ready, &oversized, input).await
    }

    /// Claimable steps of plugins, as many as there is room for.
    async fn of_plugins(&mut self, input: &RoundInput) -> Result<Vec<ReadyStep>, StoreError> {
        let room: usize = input.rooms.iter().filter(|room| room.wasm).map(|room| room.steps).sum();
        let wanted = input.look.claim || self.ready;
        if !wanted || room == 0 {
            self.out.more = wanted;
            return Ok(Vec::new());
        }
        let limit = room.min(self.options.claim_steps_max);
        let found = self.tx.claimable(limit).await?;
        self.out.more = found.len() == limit;
        Ok(found)
    }

    /// The same for external handlers. What none of our workers serves is not ours to look for.
    async fn of_external_handlers(&mut self, input: &RoundInput) -> Result<Vec<ReadyStep>, StoreError> {
        let serving = || input.rooms.iter().filter(|room| !room.external.is_empty());
        let served = |handler: &String| serving().any(|room| room.external.contains(handler));
        self.out.concerns_others |= self.external_ready.iter().any(|handler| !served(handler));
        let room: usize = serving().map(|room| room.steps).sum();
        if !(input.look.external || self.ready) || room == 0 {
            return Ok(Vec::new());
        }
        let mut handlers: Vec<String> = serving().flat_map(|room| room.external.iter().cloned()).collect();
        handlers.sort_unstable();
        handlers.dedup();
        let limit = room.min(self.options.claim_steps_max);
        let found = self.tx.claimable_external(&handlers, limit).await?;
        self.out.more_external = found.len() == limit;
        Ok(found)
    }

    fn left_behind(&mut self, candidates: &[Candidate<'_>], packed: &[Packed]) {
        let mut dealt = vec![false; candidates.len()];
        packed.iter().flat_map(|packed| &packed.steps).for_each(|at| dealt[*at] = true);
        for (candidate, _) in candidates.iter().zip(dealt).filter(|(_, dealt)| !dealt) {
            match candidate.external {
                None => self.out.more = true,
                Some(_) => self.out.more_external = true,
            }
        }
    }

    /// Those that no pause covers. The others are set aside, so that they are met once and not by every claim.
    async fn unpaused(&mut self, found: Vec<ReadyStep>) -> Result<Vec<ReadyStep>, StoreError> {
        if !found.iter().any(|step| step.pauses) {
            return Ok(found);
        }
        let pauses = self.tx.pauses().await?;
        let (mut ready, mut parked) = (Vec::with_capacity(found.len()), Vec::new());
        for step in found {
            let entry = self.plans.get(&mut *self.tx, step.plan).await?;
            if covered(&pauses, step.step, &entry)? {
                parked.push(step.step);
            } else {
                ready.push(step);
            }
        }
        self.tx.park(&parked, true).await?;
        Ok(ready)
    }

    fn step_bytes_max(&self) -> usize {
        usize::try_from(self.options.message_bytes_max).unwrap_or(usize::MAX) / 10 * 9
    }

    async fn materials(&mut self, ready: &[ReadyStep]) -> Result<Materials, StoreError> {
        let mut plans = Vec::with_capacity(ready.len());
        let mut tasks = Vec::new();
        let mut parents = Vec::new();
        for step in ready {
            let entry = self.plans.get(&mut *self.tx, step.plan).await?;
            let task = step.step.task();
            parents.extend(
                entry.graph.parents(step.step.position()).iter().map(|parent| StepId::new(task, *parent)),
            );
            tasks.push(task);
            plans.push(entry);
        }
        // Neighbours share their task, and siblings their parents.
        tasks.sort_unstable();
        tasks.dedup();
        parents.sort_unstable();
        parents.dedup();
        let mut inputs: HashMap<TaskId, TaskInput> = HashMap::with_capacity(tasks.len());
        inputs.extend(tasks.iter().filter_map(|task| Some((*task, self.inputs.remove(task)?))));
        tasks.retain(|task| !inputs.contains_key(task));
        inputs.extend(self.tx.inputs(&tasks).await?.into_iter().map(|input| (input.task, input)));
        let outputs = self.tx.outputs(&parents).await?.into_iter().collect();
        Ok(Materials { plans, inputs, outputs })
    }

    async fn lease(
        &mut self,
        ready: &[ReadyStep],
        candidates: &[Candidate<'_>],
        materials: &Materials,
        packed: Vec<Packed>,
    ) -> Result<(), StoreError> {
        let batches: Vec<NewBatch> = packed.iter().map(|packed| new_batch(packed, ready)).collect();
        let ids = self.tx.lease(&batches, &self.options.incarnation, self.now).await?;
        for ((id, batch), packed) in ids.into_iter().zip(batches).zip(packed) {
            let mut steps = Vec::with_capacity(packed.steps.len());
            let mut timeout_ms_max = 0;
            for at in &packed.steps {
                let task = step_task(&ready[*at], &materials.plans[*at], materials)?;
                timeout_ms_max = timeout_ms_max.max(task.timeout_ms);
                steps.push(task);
            }
            let entry = BookEntry {
                worker: packed.worker,
                steps: batch.steps.iter().map(|pair| (*pair, None)).collect(),
                waiting: None,
            };
            self.opened.push((id, entry));
            self.out.batches.push(SentBatch {
                worker: packed.worker,
                message: Batch { batch: id, created_at: self.now, steps },
                weights: packed.steps.iter().map(|at| candidates[*at].bytes).collect(),
                timeout_ms_max,
            });
        }
        Ok(())
    }

    /// A step whose inputs do not fit in a message cannot run anywhere: it fails for good, with an attempt that says so.
    async fn refuse_oversized(
        &mut self,
        ready: &[ReadyStep],
        oversized: &[usize],
        input: &RoundInput,
    ) -> Result<(), StoreError> {
        let Some(worker) = input.rooms.first().map(|room| room.worker) else { return Ok(()) };
        if oversized.is_empty() {
            return Ok(());
        }
        let batches: Vec<NewBatch> =
            oversized.iter().map(|at| new_batch(&Packed { worker, steps: vec![*at] }, ready)).collect();
        let ids = self.tx.lease(&batches, &self.options.incarnation, self.now).await?;
        let keys: Vec<AttemptKey> = ids
            .iter()
            .zip(&batches)
            .flat_map(|(id, batch)| {
                batch.steps.iter().map(|(step, attempt)| AttemptKey {
                    step: *step,
                    attempt: *attempt,
                    batch: *id,
                })
            })
            .collect();
        let mut ended = Vec::new();
        for leased in self.tx.leased(&keys).await? {
            let message = format!(
                "the outputs of its parents and its context together do not fit in a message of {} bytes",
                self.options.message_bytes_max
            );
            let mut failure =
                Failure::new(FailureClass::OutputTooLarge, message).with_code("input_too_large");
            failure.retryable = false;
            let event = StepEvent::Failed { failure: &failure.clone(), random: 0 };
            ended.push(
                self.end(leased, &event, (AttemptStatus::Failed, failure), AttemptLine::default()).await?,
            );
        }
        self.tx.end(&ended, self.now).await?;
        let closed = |id| ClosedBatch::without_completion(id, BatchEnd::Reconciled);
        self.closed.extend(ids.into_iter().map(closed));
        // The tasks may have settled by this; a second pass is rare and cheap.
        self.settle_tasks().await
    }
}

fn by_ready(packed: Packed, fits: &[usize]) -> Packed {
    Packed { worker: packed.worker, steps: packed.steps.into_iter().map(|at| fits[at]).collect() }
}

fn new_batch(packed: &Packed, ready: &[ReadyStep]) -> NewBatch {
    let steps = packed.steps.iter().map(|at| (ready[*at].step, ready[*at].attempt + 1)).collect();
    NewBatch { worker: packed.worker, steps }
}

fn candidates<'a>(ready: &[ReadyStep], materials: &'a Materials) -> Result<Vec<Candidate<'a>>, StoreError> {
    ready
        .iter()
        .zip(&materials.plans)
        .map(|(step, entry)| {
            let plan = entry.step(step.step)?;
            let context = materials.inputs.get(&step.step.task()).map_or(0, |input| input.context.bytes());
            let task = step.step.task();
            let output =
                |parent: &u16| materials.outputs.get(&StepId::new(task, *parent)).map_or(0, Payload::bytes);
            let outputs: usize = plan.parents.iter().map(output).sum();
            Ok(Candidate {
                step: step.step,
                digest: plan.digest,
                external: plan.external(),
                bytes: STEP_BYTES + plan.config.bytes() + context + outputs,
            })
        })
        .collect()
}

fn step_task(ready: &ReadyStep, entry: &PlanEntry, materials: &Materials) -> Result<StepTask, StoreError> {
    let (task, plan) = (ready.step.task(), entry.step(ready.step)?);
    let input = materials.inputs.get(&task);
    let input =
        input.ok_or_else(|| StoreError::Inconsistent(format!("task {task} has no stored context")))?;
    let mut parents = Vec::with_capacity(plan.parents.len());
    for parent in &plan.parents {
        let id = StepId::new(task, *parent);
        let output = materials.outputs.get(&id);
        let output = output.ok_or_else(|| {
            StoreError::Inconsistent(format!(
                "step {} is ready, but its parent {id} has no output",
                ready.step
            ))
        })?;
        parents.push((entry.step(id)?.name.clone(), output.clone()));
    }
    Ok(StepTask {
        task,
        step: ready.step,
        attempt: ready.attempt + 1,
        name: plan.name.clone(),
        handler: plan.handler.clone(),
        plugin: plan.digest,
        plugin_name: plan.plugin.clone(),
        plugin_version: plan.plugin_version.clone(),
        namespace: entry.plan.namespace.clone(),
        retry_limit: plan.retry.limit,
        idempotency_key: format!("task/{task}/{}", plan.name),
        timeout_ms: plan.timeout_ms,
        limits: plan.limits,
        config: plan.config.clone(),
        context: input.context.clone(),
        parents,
        tags: input.tags.clone(),
    })
}
