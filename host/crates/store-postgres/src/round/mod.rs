//! One write transaction.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Postgres, Transaction};
use stepwright_store::column::{digest, json, number, parsed, payload};
use stepwright_store::row::{AuditRow, BatchRow, LeasedRow, ReadyRow, StepOfTaskRow, key};
use stepwright_store::{
    AuditedTask, ClosedBatch, CompletedAttempt, Created, EndedAttempt, EventLog, LeasedStep, NewBatch,
    NewNote, NewTask, NewWorker, OpenBatch, PauseRecord, PluginChange, PluginRecord, ReadyStep, Result,
    Round, RunningAttempt, StepChange, StepRow, TaskInput, WorkerState,
};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::task::{StepCounts, TaskState};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Payload, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId,
};

use crate::encode::{self, int};
use crate::error::engine;
use crate::store::{Counters, PostgresStore};

/// Dropping it without [`Round::commit`] rolls everything back.
pub(crate) struct PostgresRound {
    tx: Transaction<'static, Postgres>,
    counters: Arc<Counters>,
    /// What happened so far.
    events: EventLog,
}

/// Runs a checked query inside the round and counts it.
macro_rules! run {
    ($self:ident, $what:literal, $method:ident, $($query:tt)*) => {{
        $self.counters.statement();
        sqlx::query_file!($($query)*).$method(&mut *$self.tx).await.map_err(engine($what))?
    }};
}

/// The same for rows that have a type of their own.
macro_rules! rows {
    ($self:ident, $what:literal, $row:ident, $method:ident, $($query:tt)*) => {{
        $self.counters.statement();
        sqlx::query_file_as!($row, $($query)*).$method(&mut *$self.tx).await.map_err(engine($what))?
    }};
}

mod books;
mod fleet;
mod outcomes;
mod pauses;
mod plugins;
mod start;

impl PostgresRound {
    pub(crate) async fn begin(store: &PostgresStore) -> Result<Self> {
        let tx = store.writers.begin().await.map_err(engine("begin a transaction"))?;
        Ok(Self { tx, counters: store.counters.clone(), events: EventLog::default() })
    }
}

#[async_trait]
impl Round for PostgresRound {
    async fn create(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        let created = self.create_tasks(tasks, now).await?;
        self.events.at(now).created(tasks, &created);
        Ok(created)
    }

    async fn lock(&mut self, tasks: &[TaskId]) -> Result<()> {
        if !tasks.is_empty() {
            run!(self, "lock tasks", fetch_one, "queries/lock.sql", &ids(tasks));
        }
        Ok(())
    }

    async fn complete(
        &mut self,
        attempts: &[CompletedAttempt],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, PlanId)>> {
        let applied = self.complete_steps(attempts, now).await?;
        self.events.at(now).completed(applied.iter().map(|(key, _)| *key));
        Ok(applied)
    }

    async fn leased(&mut self, keys: &[AttemptKey]) -> Result<Vec<LeasedStep>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = encode::keys(keys);
        let rows = rows!(
            self,
            "read leased steps",
            LeasedRow,
            fetch_all,
            "queries/leased.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches
        );
        rows.into_iter().map(LeasedRow::record).collect()
    }

    async fn end(&mut self, attempts: &[EndedAttempt], now: Timestamp) -> Result<Vec<AttemptKey>> {
        let applied = self.end_attempts(attempts, now).await?;
        self.events.at(now).ended(attempts, &applied);
        Ok(applied)
    }

    async fn started(&mut self, running: &[RunningAttempt]) -> Result<()> {
        if running.is_empty() {
            return Ok(());
        }
        let keys = encode::keys(running.iter().map(|running| &running.key));
        let fractions: Vec<Option<f64>> = running.iter().map(|running| running.fraction).collect();
        let notes: Vec<Option<String>> =
            running.iter().map(|running| running.note.as_deref().map(encode::shown)).collect();
        let standing = run!(
            self,
            "mark running steps",
            fetch_all,
            "queries/started.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches,
            &fractions as &[Option<f64>],
            &notes as &[Option<String>]
        );
        let standing: Vec<(StepId, i64)> =
            standing.into_iter().map(|row| (StepId(row.id), i64::from(row.attempt))).collect();
        self.events.progressed(running, &standing);
        Ok(())
    }

    async fn recorded(&mut self, keys: &[AttemptKey]) -> Result<Vec<(AttemptKey, Option<Digest>)>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = encode::keys(keys);
        let rows = run!(
            self,
            "read the ledger",
            fetch_all,
            "queries/recorded.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches
        );
        rows.into_iter()
            .map(|row| {
                let reported = row.digest.map(|bytes| digest("attempts.digest", &bytes)).transpose()?;
                Ok((key(row.step_id, row.attempt, row.batch_id)?, reported))
            })
            .collect()
    }

    async fn release(&mut self, parents_finished: &[(StepId, u32)]) -> Result<Vec<StepId>> {
        if parents_finished.is_empty() {
            return Ok(Vec::new());
        }
        let steps: Vec<i64> = parents_finished.iter().map(|(step, _)| step.0).collect();
        let finished: Vec<i32> = parents_finished.iter().map(|(_, finished)| int(*finished)).collect();
        let moved = run!(self, "release dependants", fetch_all, "queries/release.sql", &steps, &finished);
        let ready: Vec<StepId> = moved.into_iter().map(|row| StepId(row.id)).collect();
        self.events.viable(ready.clone());
        Ok(ready)
    }

    async fn count_steps(&mut self, tasks: &[TaskId]) -> Result<Vec<(TaskId, TaskState, StepCounts)>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(self, "count steps", fetch_all, "queries/count_steps.sql", &ids(tasks));
        rows.into_iter()
            .map(|row| {
                let count = |value| number("count of steps", value);
                let counts = StepCounts {
                    pending: count(row.pending)?,
                    active: count(row.active)?,
                    error: count(row.error)?,
                    finished_well: count(row.finished_well)?,
                };
                Ok((TaskId(row.id), parsed("tasks.state", &row.state)?, counts))
            })
            .collect()
    }

    async fn settle(&mut self, tasks: &[(TaskId, TaskState, TaskState)], now: Timestamp) -> Result<()> {
        if !tasks.is_empty() {
            let ids: Vec<i64> = tasks.iter().map(|(task, _, _)| task.0).collect();
            let from: Vec<&str> = tasks.iter().map(|(_, from, _)| from.as_str()).collect();
            let to: Vec<&str> = tasks.iter().map(|(_, _, to)| to.as_str()).collect();
            let moved = run!(
                self,
                "settle tasks",
                fetch_all,
                "queries/settle.sql",
                &ids,
                &from as &[&str],
                &to as &[&str],
                now.0
            );
            let moved: Vec<TaskId> = moved.into_iter().map(|row| TaskId(row.id)).collect();
            self.events.at(now).settled(tasks, &moved);
        }
        Ok(())
    }

    async fn wake(&mut self, now: Timestamp) -> Result<(u64, Option<Timestamp>)> {
        let woken = run!(self, "wake waiting steps", fetch_all, "queries/wake.sql", now.0);
        let woken: Vec<StepId> = woken.into_iter().map(|row| StepId(row.id)).collect();
        let count = woken.len() as u64;
        self.events.at(now).viable(woken);
        let next = run!(self, "find the next retry time", fetch_one, "queries/next_ready_at.sql").ready_at;
        Ok((count, next.map(Timestamp)))
    }

    async fn claimable(&mut self, limit: usize) -> Result<Vec<ReadyStep>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = rows!(self, "find claimable steps", ReadyRow, fetch_all, "queries/claimable.sql", limit);
        rows.into_iter().map(ReadyRow::record).collect()
    }

    async fn claimable_external(&mut self, handlers: &[String], limit: usize) -> Result<Vec<ReadyStep>> {
        if handlers.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = rows!(
            self,
            "find claimable steps of external handlers",
            ReadyRow,
            fetch_all,
            "queries/claimable_external.sql",
            handlers,
            limit
        );
        rows.into_iter().map(ReadyRow::record).collect()
    }

    async fn inputs(&mut self, tasks: &[TaskId]) -> Result<Vec<TaskInput>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(self, "read contexts", fetch_all, "queries/inputs.sql", &ids(tasks));
        rows.into_iter()
            .map(|row| {
                Ok(TaskInput {
                    task: TaskId(row.task_id),
                    context: payload("task_inputs.context", row.context)?,
                    tags: json("task_inputs.tags", &row.tags)?,
                })
            })
            .collect()
    }

    async fn outputs(&mut self, steps: &[StepId]) -> Result<Vec<(StepId, Payload)>> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let steps: Vec<i64> = steps.iter().map(|step| step.0).collect();
        let rows = run!(self, "read outputs", fetch_all, "queries/outputs.sql", &steps);
        rows.into_iter().map(|row| Ok((StepId(row.id), payload("steps.output", row.output)?))).collect()
    }

    async fn lease(
        &mut self,
        batches: &[NewBatch],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<BatchId>> {
        self.lease_steps(batches, orchestrator, now).await
    }

    async fn open_batches(&mut self, worker: WorkerId) -> Result<Vec<OpenBatch>> {
        let rows =
            rows!(self, "read a worker's batches", BatchRow, fetch_all, "queries/open_batches.sql", worker.0);
        rows.into_iter().map(BatchRow::record).collect()
    }

    async fn batch(&mut self, id: BatchId) -> Result<Option<OpenBatch>> {
        rows!(self, "read a batch", BatchRow, fetch_optional, "queries/batch.sql", id.0)
            .map(BatchRow::record)
            .transpose()
    }

    async fn close_batches(&mut self, batches: &[ClosedBatch], now: Timestamp) -> Result<()> {
        self.close(batches, now).await
    }

    async fn note(&mut self, notes: &[NewNote], now: Timestamp) -> Result<()> {
        self.write_notes(notes, now).await
    }

    async fn take_cancelled(&mut self, workers: &[WorkerId]) -> Result<Vec<AttemptKey>> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let workers: Vec<i64> = workers.iter().map(|worker| worker.0).collect();
        let rows = run!(self, "take attempts to stop", fetch_all, "queries/to_stop.sql", &workers);
        rows.into_iter().map(|row| key(row.id, row.attempt, row.batch_id)).collect()
    }

    async fn join(&mut self, worker: &NewWorker, lease_until: Timestamp, now: Timestamp) -> Result<WorkerId> {
        let id = self.join_worker(worker, lease_until, now).await?;
        self.events.at(now).joined(id, worker);
        Ok(id)
    }

    async fn renew(
        &mut self,
        workers: &[WorkerId],
        orchestrator: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        self.renew_leases(workers, orchestrator, lease_until, now).await
    }

    async fn leave(
        &mut self,
        workers: &[(WorkerId, WorkerState)],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        let left = self.end_workers(workers, orchestrator, now).await?;
        self.events.at(now).gone(workers, &left);
        Ok(left)
    }

    async fn expired(&mut self, now: Timestamp) -> Result<Vec<WorkerId>> {
        let rows = run!(self, "find ended leases", fetch_all, "queries/workers_expired.sql", now.0);
        Ok(rows.into_iter().map(|row| WorkerId(row.id)).collect())
    }

    async fn adopt(&mut self, lease_until: Timestamp) -> Result<()> {
        run!(self, "adopt the workers", execute, "queries/workers_adopt.sql", lease_until.0);
        Ok(())
    }

    async fn pauses(&mut self) -> Result<Vec<PauseRecord>> {
        self.kept_pauses().await
    }

    async fn pause(&mut self, pause: &PauseRecord) -> Result<bool> {
        let made = self.make_pause(pause).await?;
        if made {
            self.events.at(pause.since).paused(&pause.target, true);
        }
        Ok(made)
    }

    async fn resume(&mut self, target: &PauseTarget, now: Timestamp) -> Result<bool> {
        let taken = self.take_pause(target).await?;
        if taken {
            self.events.at(now).paused(target, false);
        }
        Ok(taken)
    }

    async fn park(&mut self, steps: &[StepId], parked: bool) -> Result<()> {
        self.park_steps(steps, parked).await
    }

    async fn parked(&mut self, after: StepId, limit: u32) -> Result<Vec<ReadyStep>> {
        self.parked_steps(after, limit).await
    }

    async fn plugin_versions(&mut self, name: &str) -> Result<Vec<PluginRecord>> {
        self.versions_of(name).await
    }

    async fn change_plugins(&mut self, change: &PluginChange) -> Result<()> {
        self.change_versions(change).await?;
        self.events.at(change.deed.at).plugins_changed(change);
        Ok(())
    }

    async fn remove_plugins(&mut self, name: &str, versions: &[String]) -> Result<Vec<String>> {
        self.remove_versions(name, versions).await
    }

    async fn suspect(
        &mut self,
        components: &[Digest],
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Digest, u32)>> {
        self.suspect_components(components, not_since, now).await
    }

    async fn acquit(&mut self, components: &[Digest]) -> Result<()> {
        self.acquit_components(components).await
    }

    async fn audit(&mut self, task: TaskId) -> Result<Option<AuditedTask>> {
        let rows =
            rows!(self, "audit a task", AuditRow, fetch_all, "queries/audit.sql", task.0 - 1, task.0, 1_i64);
        Ok(AuditRow::tasks(rows)?.pop())
    }

    async fn recount(&mut self, unfinished: &[(StepId, u32)]) -> Result<()> {
        if unfinished.is_empty() {
            return Ok(());
        }
        let steps: Vec<i64> = unfinished.iter().map(|(step, _)| step.0).collect();
        let counts: Vec<i32> = unfinished.iter().map(|(_, count)| int(*count)).collect();
        let ready = run!(self, "count parents anew", fetch_all, "queries/recount.sql", &steps, &counts);
        self.events.viable(ready.into_iter().map(|row| StepId(row.id)).collect());
        Ok(())
    }

    async fn requeue(&mut self, steps: &[StepId]) -> Result<()> {
        if !steps.is_empty() {
            let steps: Vec<i64> = steps.iter().map(|step| step.0).collect();
            run!(self, "mend the ready queue", execute, "queries/requeue.sql", &steps);
        }
        Ok(())
    }

    async fn steps(&mut self, task: TaskId) -> Result<Vec<StepRow>> {
        let first = StepId::new(task, 0).0;
        let rows =
            rows!(self, "read a task's steps", StepOfTaskRow, fetch_all, "queries/steps_of_task.sql", first);
        rows.into_iter().map(StepOfTaskRow::record).collect()
    }

    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>> {
        let row = run!(self, "read a plan", fetch_optional, "queries/plan.sql", id.0);
        row.map(|row| json("plans.content", &row.content)).transpose()
    }

    async fn task(&mut self, task: TaskId) -> Result<Option<(PlanId, TaskState)>> {
        let row = run!(self, "read a task", fetch_optional, "queries/task_state.sql", task.0);
        row.map(|row| Ok((PlanId(row.plan_id), parsed("tasks.state", &row.state)?))).transpose()
    }

    async fn change(&mut self, changes: &[StepChange]) -> Result<Vec<StepId>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let steps: Vec<i64> = changes.iter().map(|change| change.step.0).collect();
        let from: Vec<&str> = changes.iter().map(|change| change.from.as_str()).collect();
        let to: Vec<&str> = changes.iter().map(|change| change.to.state.as_str()).collect();
        let failures: Vec<i32> = changes.iter().map(|change| int(change.to.failures)).collect();
        let losses: Vec<i32> = changes.iter().map(|change| int(change.to.losses)).collect();
        let outputs: Vec<Option<&str>> =
            changes.iter().map(|change| change.output.as_ref().map(Payload::as_str)).collect();
        let moved = run!(
            self,
            "change steps",
            fetch_all,
            "queries/change_steps.sql",
            &steps,
            &from as &[&str],
            &to as &[&str],
            &failures,
            &losses,
            &outputs as &[Option<&str>]
        );
        let moved: Vec<StepId> = moved.into_iter().map(|row| StepId(row.id)).collect();
        self.events.moved(changes, &moved);
        Ok(moved)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.write_events().await?;
        self.tx.commit().await.map_err(engine("commit"))?;
        self.counters.commit();
        Ok(())
    }
}

fn ids(tasks: &[TaskId]) -> Vec<i64> {
    tasks.iter().map(|task| task.0).collect()
}
