//! One write transaction.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use stepwright_store::column::{digest, json, number, parsed, payload};
use stepwright_store::row::{AuditRow, BatchRow, LeasedRow, ReadyRow, StepOfTaskRow, key};
use stepwright_store::{
    AuditedTask, ClosedBatch, CompletedAttempt, Created, EndedAttempt, EventLog, LeasedStep, NewBatch,
    NewNote, NewTask, NewWorker, OpenBatch, PauseRecord, PluginChange, PluginRecord, ReadyStep, Result,
    Round, RunningAttempt, StepChange, StepRow, TaskInput, WorkerState,
};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::{StepCounts, TaskState};
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Payload, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId,
};

use crate::encode;
use crate::error::engine;
use crate::store::{Counters, SqliteStore};

/// Dropping it without [`Round::commit`] rolls everything back.
pub(crate) struct SqliteRound {
    tx: Transaction<'static, Sqlite>,
    counters: Arc<Counters>,
    last_batch: Arc<AtomicI64>,
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
mod leases;
mod pauses;
mod plugins;
mod start;

impl SqliteRound {
    pub(crate) async fn begin(store: &SqliteStore) -> Result<Self> {
        // Taking the write lock at once: a read that is followed by a write could otherwise fail half-way.
        let tx = store.writer.begin_with("BEGIN IMMEDIATE").await.map_err(engine("begin a transaction"))?;
        let (counters, last_batch) = (store.counters.clone(), store.last_batch.clone());
        Ok(Self { tx, counters, last_batch, events: EventLog::default() })
    }

    async fn last_id(&mut self, table: &str) -> Result<i64> {
        Ok(run!(self, "number new rows", fetch_one, "queries/last_id.sql", table).last)
    }
}

#[async_trait]
impl Round for SqliteRound {
    async fn create(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        let created = self.create_tasks(tasks, now).await?;
        self.events.at(now).created(tasks, &created);
        Ok(created)
    }

    async fn lock(&mut self, _tasks: &[TaskId]) -> Result<()> {
        // The write transaction is the only one.
        Ok(())
    }

    async fn complete(
        &mut self,
        attempts: &[CompletedAttempt],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, PlanId)>> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let (lines, outputs) = (encode::completed(attempts)?, encode::outputs(attempts)?);
        let moved = run!(self, "complete steps", fetch_all, "queries/complete.sql", lines, now.0, outputs);
        let applied = moved
            .into_iter()
            .map(|row| Ok((key(row.id, row.attempt, row.batch_id)?, PlanId(row.plan_id))))
            .collect::<Result<Vec<(AttemptKey, PlanId)>>>()?;
        self.events.at(now).completed(applied.iter().map(|(key, _)| *key));
        Ok(applied)
    }

    async fn leased(&mut self, keys: &[AttemptKey]) -> Result<Vec<LeasedStep>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = encode::keys(keys)?;
        let rows = rows!(self, "read leased steps", LeasedRow, fetch_all, "queries/leased.sql", keys);
        rows.into_iter().map(LeasedRow::record).collect()
    }

    async fn end(&mut self, attempts: &[EndedAttempt], now: Timestamp) -> Result<Vec<AttemptKey>> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let rows = encode::ended(attempts)?;
        let moved = run!(self, "end attempts", fetch_all, "queries/end.sql", rows, now.0, rows);
        let applied = moved.into_iter().map(|row| key(row.id, row.attempt, row.batch_id));
        let applied = applied.collect::<Result<Vec<AttemptKey>>>()?;
        self.events.at(now).ended(attempts, &applied);
        Ok(applied)
    }

    async fn started(&mut self, running: &[RunningAttempt]) -> Result<()> {
        if running.is_empty() {
            return Ok(());
        }
        let rows = encode::array(running.iter().map(|RunningAttempt { key, fraction, note }| {
            (key.step, key.attempt, key.batch, fraction, note)
        }))?;
        let standing = run!(self, "mark running steps", fetch_all, "queries/started.sql", rows);
        let standing: Vec<(StepId, i64)> =
            standing.into_iter().map(|row| (StepId(row.id), row.attempt)).collect();
        self.events.progressed(running, &standing);
        Ok(())
    }

    async fn recorded(&mut self, keys: &[AttemptKey]) -> Result<Vec<(AttemptKey, Option<Digest>)>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(self, "read the ledger", fetch_all, "queries/recorded.sql", encode::keys(keys)?);
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
        let rows = encode::array(parents_finished)?;
        let moved = run!(self, "release dependants", fetch_all, "queries/release.sql", rows);
        let ready = moved.into_iter().filter(|row| row.state == StepState::Ready.as_str());
        let ready: Vec<StepId> = ready.map(|row| StepId(row.id)).collect();
        self.events.viable(ready.clone());
        Ok(ready)
    }

    async fn count_steps(&mut self, tasks: &[TaskId]) -> Result<Vec<(TaskId, TaskState, StepCounts)>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(self, "count steps", fetch_all, "queries/count_steps.sql", encode::array(tasks)?);
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
            let rows = encode::array(tasks)?;
            let moved = run!(self, "settle tasks", fetch_all, "queries/settle.sql", rows, now.0);
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
        let handlers = encode::array(handlers)?;
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
        let rows = run!(self, "read contexts", fetch_all, "queries/inputs.sql", encode::array(tasks)?);
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
        let rows = run!(self, "read outputs", fetch_all, "queries/outputs.sql", encode::array(steps)?);
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
        self.take_told_to_stop(workers).await
    }

    async fn join(&mut self, worker: &NewWorker, lease_until: Timestamp, now: Timestamp) -> Result<WorkerId> {
        let NewWorker { name, incarnation, host, pid, slots, orchestrator } = worker;
        let row = run!(
            self,
            "register a worker",
            fetch_one,
            "queries/worker_join.sql",
            name,
            incarnation,
            host,
            pid,
            slots,
            orchestrator,
            lease_until.0,
            now.0
        );
        let id = WorkerId(row.id);
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
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let ids = encode::array(workers)?;
        let rows = run!(
            self,
            "renew leases",
            fetch_all,
            "queries/workers_renew.sql",
            ids,
            lease_until.0,
            now.0,
            orchestrator
        );
        Ok(rows.into_iter().map(|row| WorkerId(row.id)).collect())
    }

    async fn leave(
        &mut self,
        workers: &[(WorkerId, WorkerState)],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let rows = encode::array(workers.iter().map(|(worker, state)| (worker, state.as_str())))?;
        let left =
            run!(self, "end workers", fetch_all, "queries/workers_leave.sql", rows, now.0, orchestrator);
        let left: Vec<WorkerId> = left.into_iter().map(|row| WorkerId(row.id)).collect();
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
        let rows = encode::array(unfinished)?;
        let moved = run!(self, "count parents anew", fetch_all, "queries/recount.sql", rows);
        let ready = moved.into_iter().filter(|row| row.state == StepState::Ready.as_str());
        self.events.viable(ready.map(|row| StepId(row.id)).collect());
        Ok(())
    }

    async fn requeue(&mut self, _steps: &[StepId]) -> Result<()> {
        // The queue is an index of the steps, and cannot differ from them.
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
        let rows = encode::array(changes.iter().map(|StepChange { step, from, to, output }| {
            (step, from, to.state, to.failures, to.losses, output.as_ref().map(Payload::as_str))
        }))?;
        let moved = run!(self, "change steps", fetch_all, "queries/change_steps.sql", rows);
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
