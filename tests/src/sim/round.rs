//! A write transaction with the adversary in front of it.

use std::sync::Arc;

use async_trait::async_trait;
use stepwright_store::*;
use stepwright_store_sqlite::SqliteStore;
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::task::{StepCounts, TaskState};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Payload, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId,
};

use super::adversary::{Adversary, Sabotage};
use super::books::Deed;
use super::store::{blocking, database, unavailable};

/// A write transaction under the adversary's eyes. What it does is written into the books once it is durable.
pub(super) struct SimRound {
    pub(super) inner: Option<Box<dyn Round>>,
    pub(super) checked: Option<Arc<SqliteStore>>,
    pub(super) adversary: Arc<Adversary>,
    pub(super) faulty: bool,
    pub(super) deeds: Vec<Deed>,
}

impl SimRound {
    async fn statement(&mut self, what: &'static str) -> Result<&mut Box<dyn Round>> {
        if self.faulty {
            if self.adversary.strikes("statement fails", 400) {
                return Err(unavailable(what));
            }
            if self.adversary.strikes("crash within a transaction", 400) {
                self.undo();
                self.adversary.crash().await;
            }
        }
        Ok(self.inner.as_mut().expect("the transaction is open"))
    }

    fn undo(&mut self) {
        let _database = database().enter();
        self.inner = None;
    }

    /// The keys as a store without the fence would see them: whatever attempt is leased now.
    fn unfenced(&mut self, keys: &[AttemptKey]) -> Vec<AttemptKey> {
        if self.adversary.sabotage() != Sabotage::NoFence {
            return keys.to_vec();
        }
        let inner = self.inner.as_mut().expect("the transaction is open");
        let current = |key: &AttemptKey| {
            let rows = blocking(inner.steps(key.step.task())).expect("the steps are read");
            let row = rows.into_iter().find(|row| row.step == key.step)?;
            Some(AttemptKey { step: key.step, attempt: row.attempt, batch: row.batch? })
        };
        let mut current = current;
        keys.iter().map(|key| current(key).unwrap_or(*key)).collect()
    }
}

impl Drop for SimRound {
    fn drop(&mut self) {
        self.undo();
    }
}

#[async_trait]
impl Round for SimRound {
    async fn create(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        let created = blocking(self.statement("create").await?.create(tasks, now))?;
        self.deeds.extend(created.iter().map(|created| Deed::Created(*created)));
        Ok(created)
    }

    async fn complete(
        &mut self,
        attempts: &[CompletedAttempt],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, PlanId)>> {
        self.statement("complete").await?;
        let asked: Vec<AttemptKey> = attempts.iter().map(|done| done.key).collect();
        let seen = self.unfenced(&asked);
        let mut attempts = attempts.to_vec();
        attempts.iter_mut().zip(&seen).for_each(|(done, key)| done.key = *key);
        let mut applied = blocking(self.statement("complete").await?.complete(&attempts, now))?;
        for (key, _) in &mut applied {
            let place = seen.iter().position(|other| other == key).expect("an applied key was asked for");
            // In the books stands whose outcome it was.
            *key = asked[place];
            self.deeds.push(Deed::Completed(*key, attempts[place].output.clone()));
        }
        Ok(applied)
    }

    async fn leased(&mut self, keys: &[AttemptKey]) -> Result<Vec<LeasedStep>> {
        blocking(self.statement("leased").await?.leased(keys))
    }

    async fn end(&mut self, attempts: &[EndedAttempt], now: Timestamp) -> Result<Vec<AttemptKey>> {
        let applied = blocking(self.statement("end").await?.end(attempts, now))?;
        self.deeds.extend(applied.iter().map(|key| Deed::Ended(*key)));
        Ok(applied)
    }

    async fn lease(
        &mut self,
        batches: &[NewBatch],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<BatchId>> {
        let made = blocking(self.statement("lease").await?.lease(batches, orchestrator, now))?;
        for (id, batch) in made.iter().zip(batches) {
            self.deeds.push(Deed::Leased(*id, batch.clone()));
        }
        Ok(made)
    }

    async fn settle(&mut self, tasks: &[(TaskId, TaskState, TaskState)], now: Timestamp) -> Result<()> {
        blocking(self.statement("settle").await?.settle(tasks, now))?;
        self.deeds.extend(tasks.iter().map(|(task, _, to)| Deed::Settled(*task, *to)));
        Ok(())
    }

    async fn change(&mut self, changes: &[StepChange]) -> Result<Vec<StepId>> {
        let moved = blocking(self.statement("change").await?.change(changes))?;
        let changed = changes.iter().filter(|change| moved.contains(&change.step));
        self.deeds.extend(changed.map(|change| Deed::Changed(change.clone())));
        Ok(moved)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.statement("commit").await?;
        if self.faulty && self.adversary.strikes("commit fails before it is durable", 60) {
            return Err(unavailable("commit"));
        }
        if self.faulty && self.adversary.strikes("crash before the commit is durable", 80) {
            self.undo();
            self.adversary.crash().await;
        }
        if self.adversary.sabotage() == Sabotage::CommitLies && self.adversary.one_in(20) {
            self.undo();
            return Ok(());
        }
        let dies = self.faulty && self.adversary.strikes("crash after the commit is durable", 80);
        let fails = self.faulty && !dies && self.adversary.strikes("commit fails after it is durable", 60);
        let inner = self.inner.take().expect("the transaction is open");
        blocking(inner.commit())?;
        let deeds = std::mem::take(&mut self.deeds);
        if let Some(store) = &self.checked {
            self.adversary.committed(store, deeds, !dies && !fails);
        }
        if dies {
            self.adversary.crash().await;
        }
        if self.faulty {
            tokio::time::sleep(self.adversary.latency()).await;
        }
        if fails {
            return Err(unavailable("commit"));
        }
        Ok(())
    }

    async fn lock(&mut self, tasks: &[TaskId]) -> Result<()> {
        blocking(self.statement("lock").await?.lock(tasks))
    }

    async fn started(&mut self, running: &[RunningAttempt]) -> Result<()> {
        blocking(self.statement("started").await?.started(running))
    }

    async fn recorded(&mut self, keys: &[AttemptKey]) -> Result<Vec<(AttemptKey, Option<Digest>)>> {
        blocking(self.statement("recorded").await?.recorded(keys))
    }

    async fn release(&mut self, parents_finished: &[(StepId, u32)]) -> Result<Vec<StepId>> {
        blocking(self.statement("release").await?.release(parents_finished))
    }

    async fn count_steps(&mut self, tasks: &[TaskId]) -> Result<Vec<(TaskId, TaskState, StepCounts)>> {
        blocking(self.statement("count_steps").await?.count_steps(tasks))
    }

    async fn wake(&mut self, now: Timestamp) -> Result<(u64, Option<Timestamp>)> {
        blocking(self.statement("wake").await?.wake(now))
    }

    async fn claimable(&mut self, limit: usize) -> Result<Vec<ReadyStep>> {
        blocking(self.statement("claimable").await?.claimable(limit))
    }

    async fn claimable_external(&mut self, handlers: &[String], limit: usize) -> Result<Vec<ReadyStep>> {
        blocking(self.statement("claimable_external").await?.claimable_external(handlers, limit))
    }

    async fn pauses(&mut self) -> Result<Vec<PauseRecord>> {
        blocking(self.statement("pauses").await?.pauses())
    }

    async fn pause(&mut self, pause: &PauseRecord) -> Result<bool> {
        let made = blocking(self.statement("pause").await?.pause(pause))?;
        self.deeds.push(Deed::Paused(pause.target.clone(), true));
        Ok(made)
    }

    async fn resume(&mut self, target: &PauseTarget, now: Timestamp) -> Result<bool> {
        let taken = blocking(self.statement("resume").await?.resume(target, now))?;
        self.deeds.push(Deed::Paused(target.clone(), false));
        Ok(taken)
    }

    async fn park(&mut self, steps: &[StepId], parked: bool) -> Result<()> {
        blocking(self.statement("park").await?.park(steps, parked))
    }

    async fn parked(&mut self, after: StepId, limit: u32) -> Result<Vec<ReadyStep>> {
        blocking(self.statement("parked").await?.parked(after, limit))
    }

    async fn plugin_versions(&mut self, name: &str) -> Result<Vec<PluginRecord>> {
        blocking(self.statement("plugin_versions").await?.plugin_versions(name))
    }

    async fn change_plugins(&mut self, change: &PluginChange) -> Result<()> {
        blocking(self.statement("change_plugins").await?.change_plugins(change))
    }

    async fn remove_plugins(&mut self, name: &str, versions: &[String]) -> Result<Vec<String>> {
        blocking(self.statement("remove_plugins").await?.remove_plugins(name, versions))
    }

    async fn suspect(
        &mut self,
        components: &[Digest],
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Digest, u32)>> {
        blocking(self.statement("suspect").await?.suspect(components, not_since, now))
    }

    async fn acquit(&mut self, components: &[Digest]) -> Result<()> {
        blocking(self.statement("acquit").await?.acquit(components))
    }

    async fn inputs(&mut self, tasks: &[TaskId]) -> Result<Vec<TaskInput>> {
        blocking(self.statement("inputs").await?.inputs(tasks))
    }

    async fn outputs(&mut self, steps: &[StepId]) -> Result<Vec<(StepId, Payload)>> {
        blocking(self.statement("outputs").await?.outputs(steps))
    }

    async fn open_batches(&mut self, worker: WorkerId) -> Result<Vec<OpenBatch>> {
        blocking(self.statement("open_batches").await?.open_batches(worker))
    }

    async fn batch(&mut self, id: BatchId) -> Result<Option<OpenBatch>> {
        blocking(self.statement("batch").await?.batch(id))
    }

    async fn close_batches(&mut self, batches: &[ClosedBatch], now: Timestamp) -> Result<()> {
        blocking(self.statement("close_batches").await?.close_batches(batches, now))
    }

    async fn note(&mut self, notes: &[NewNote], now: Timestamp) -> Result<()> {
        blocking(self.statement("note").await?.note(notes, now))
    }

    async fn take_cancelled(&mut self, workers: &[WorkerId]) -> Result<Vec<AttemptKey>> {
        blocking(self.statement("take_cancelled").await?.take_cancelled(workers))
    }

    async fn join(&mut self, worker: &NewWorker, lease_until: Timestamp, now: Timestamp) -> Result<WorkerId> {
        blocking(self.statement("join").await?.join(worker, lease_until, now))
    }

    async fn renew(
        &mut self,
        workers: &[WorkerId],
        orchestrator: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        blocking(self.statement("renew").await?.renew(workers, orchestrator, lease_until, now))
    }

    async fn leave(
        &mut self,
        workers: &[(WorkerId, WorkerState)],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        blocking(self.statement("leave").await?.leave(workers, orchestrator, now))
    }

    async fn expired(&mut self, now: Timestamp) -> Result<Vec<WorkerId>> {
        blocking(self.statement("expired").await?.expired(now))
    }

    async fn adopt(&mut self, lease_until: Timestamp) -> Result<()> {
        blocking(self.statement("adopt").await?.adopt(lease_until))
    }

    async fn audit(&mut self, task: TaskId) -> Result<Option<AuditedTask>> {
        blocking(self.statement("audit").await?.audit(task))
    }

    async fn recount(&mut self, unfinished: &[(StepId, u32)]) -> Result<()> {
        blocking(self.statement("recount").await?.recount(unfinished))
    }

    async fn requeue(&mut self, steps: &[StepId]) -> Result<()> {
        blocking(self.statement("requeue").await?.requeue(steps))
    }

    async fn steps(&mut self, task: TaskId) -> Result<Vec<StepRow>> {
        blocking(self.statement("steps").await?.steps(task))
    }

    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>> {
        blocking(self.statement("plan").await?.plan(id))
    }

    async fn task(&mut self, task: TaskId) -> Result<Option<(PlanId, TaskState)>> {
        blocking(self.statement("task").await?.task(task))
    }
}
