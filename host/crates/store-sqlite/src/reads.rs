//! Reads for people and for the pump's ticks: outside any transaction, from a connection of their own.

use stepwright_store::{
    AttemptRecord, Glance, NoteRecord, Result, StepRecord, StepStatistics, StoreError, TaskFilter,
    TaskRecord, TaskSummary, WorkerRecord,
};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, PlanId, StepId, TaskId, Timestamp, WorkerId};

use crate::catalog::plan;
use crate::encode;
use crate::error::engine;
use crate::rows::{attempt_status, digest, failure, json, note_kind, number, parsed, payload, worker_state};
use crate::store::SqliteStore;

struct SummaryRow {
    id: i64,
    plan_id: i64,
    namespace: String,
    template: String,
    version: String,
    state: String,
    priority: i64,
    idempotency_key: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    steps: i64,
    steps_finished: i64,
    steps_in_error: i64,
}

impl SummaryRow {
    fn summary(self) -> Result<TaskSummary> {
        Ok(TaskSummary {
            id: TaskId(self.id),
            plan: PlanId(self.plan_id),
            namespace: self.namespace,
            template: self.template,
            version: self.version,
            state: parsed("tasks.state", &self.state)?,
            priority: number("tasks.priority", self.priority)?,
            idempotency_key: self.idempotency_key,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            finished_at: self.finished_at.map(Timestamp),
            steps: number("count of steps", self.steps)?,
            steps_finished: number("count of steps", self.steps_finished)?,
            steps_in_error: number("count of steps", self.steps_in_error)?,
        })
    }
}

async fn summaries(
    store: &SqliteStore,
    (first, last): (i64, i64),
    filter: &TaskFilter,
) -> Result<Vec<TaskSummary>> {
    let states = match filter.states.as_slice() {
        [] => None,
        states => Some(encode::array(states)?),
    };
    let limit = i64::from(filter.limit);
    store.counters.statement();
    let rows = sqlx::query_file_as!(
        SummaryRow,
        "queries/tasks.sql",
        first,
        last,
        states,
        filter.namespace,
        filter.template,
        limit
    );
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("list the tasks"))?;
    rows.into_iter().map(SummaryRow::summary).collect()
}

pub(crate) async fn tasks(store: &SqliteStore, filter: &TaskFilter) -> Result<Vec<TaskSummary>> {
    let last = filter.before.map_or(i64::MAX, |before| before.0.saturating_sub(1));
    summaries(store, (1, last), filter).await
}

pub(crate) async fn task(store: &SqliteStore, id: TaskId) -> Result<Option<TaskRecord>> {
    let only = TaskFilter { limit: 1, ..TaskFilter::default() };
    let Some(summary) = summaries(store, (id.0, id.0), &only).await?.pop() else { return Ok(None) };
    let missing = |what: &str| StoreError::Inconsistent(format!("task {id} has no {what}"));
    let plan = plan(store, summary.plan).await?.ok_or_else(|| missing("plan"))?;
    store.counters.statement();
    let input = sqlx::query_file!("queries/task_input.sql", id.0).fetch_optional(&store.readers).await;
    let input = input.map_err(engine("read a task's context"))?.ok_or_else(|| missing("context"))?;
    let steps_detail = step_details(store, id, &plan).await?;
    Ok(Some(TaskRecord {
        summary,
        context: payload("task_inputs.context", input.context)?,
        tags: json("task_inputs.tags", &input.tags)?,
        steps_detail,
    }))
}

struct StepDetailRow {
    id: i64,
    state: String,
    attempt: i64,
    failures: i64,
    losses: i64,
    pending_parents: i64,
    ready_at: Option<i64>,
    progress: Option<f64>,
    note: Option<String>,
    output: Option<String>,
    batch_id: Option<i64>,
    worker: Option<String>,
    failure: Option<String>,
    execution_us: Option<i64>,
}

async fn step_details(store: &SqliteStore, task: TaskId, plan: &Plan) -> Result<Vec<StepRecord>> {
    let first = StepId::new(task, 0).0;
    store.counters.statement();
    let rows = sqlx::query_file_as!(StepDetailRow, "queries/step_details.sql", first);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read a task's steps"))?;
    rows.into_iter().map(|row| row.record(plan)).collect()
}

impl StepDetailRow {
    fn record(self, plan: &Plan) -> Result<StepRecord> {
        let id = StepId(self.id);
        let step = plan.step(id.position());
        let step =
            step.ok_or_else(|| StoreError::Inconsistent(format!("step {id} is not in its task's plan")))?;
        let parents =
            step.parents.iter().filter_map(|parent| plan.step(*parent)).map(|parent| parent.name.clone());
        let state: stepwright_workflow::step::StepState = parsed("steps.state", &self.state)?;
        let leased = state.is_leased();
        Ok(StepRecord {
            id,
            name: step.name.clone(),
            parents: parents.collect(),
            state,
            attempt: number("steps.attempt", self.attempt)?,
            failures: number("steps.failures", self.failures)?,
            losses: number("steps.losses", self.losses)?,
            retry_limit: step.retry.limit,
            pending_parents: number("steps.pending_parents", self.pending_parents)?,
            ready_at: self.ready_at.map(Timestamp),
            worker: self.worker.filter(|_| leased),
            batch: self.batch_id.filter(|_| leased).map(BatchId),
            progress: self.progress,
            note: self.note,
            output: self.output.map(|text| payload("steps.output", text)).transpose()?,
            failure: if state.finished_well() { None } else { failure("attempts.failure", self.failure)? },
            execution_us: self.execution_us.map(|us| number("attempts.execution_us", us)).transpose()?,
        })
    }
}

pub(crate) async fn task_states(store: &SqliteStore, ids: &[TaskId]) -> Result<Vec<(TaskId, TaskState)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = encode::array(ids)?;
    store.counters.statement();
    let rows = sqlx::query_file!("queries/task_states.sql", ids).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read the tasks' states"))?;
    rows.into_iter().map(|row| Ok((TaskId(row.id), parsed("tasks.state", &row.state)?))).collect()
}

pub(crate) async fn task_counts(store: &SqliteStore) -> Result<Vec<(TaskState, u64)>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/task_counts.sql").fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("count the tasks"))?;
    rows.into_iter()
        .map(|row| Ok((parsed("tasks.state", &row.state)?, number("count of tasks", row.count)?)))
        .collect()
}

pub(crate) async fn attempts(store: &SqliteStore, task: TaskId) -> Result<Vec<AttemptRecord>> {
    let first = StepId::new(task, 0).0;
    let filter = TaskFilter { limit: 1, ..TaskFilter::default() };
    let Some(summary) = summaries(store, (task.0, task.0), &filter).await?.pop() else {
        return Ok(Vec::new());
    };
    let missing = || StoreError::Inconsistent(format!("task {task} has no plan"));
    let plan = plan(store, summary.plan).await?.ok_or_else(missing)?;
    store.counters.statement();
    let rows = sqlx::query_file!("queries/attempts.sql", first).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read a task's attempts"))?;
    rows.into_iter()
        .map(|row| {
            let step = StepId(row.step_id);
            let planned = plan.step(step.position());
            let planned =
                planned.ok_or_else(|| StoreError::Inconsistent(format!("step {step} is not in its plan")))?;
            Ok(AttemptRecord {
                step,
                step_name: planned.name.clone(),
                attempt: number("attempts.attempt", row.attempt)?,
                batch: BatchId(row.batch_id),
                worker: WorkerId(row.worker_id),
                worker_name: row.worker_name,
                plugin: planned.digest,
                status: attempt_status(&row.status)?,
                failure: failure("attempts.failure", row.failure)?,
                digest: row.digest.map(|bytes| digest("attempts.digest", &bytes)).transpose()?,
                started_at: row.started_at.map(Timestamp),
                recorded_at: Timestamp(row.recorded_at),
                execution_us: number("attempts.execution_us", row.execution_us)?,
                cpu_us: number("attempts.cpu_us", row.cpu_us)?,
                memory_bytes_peak: number("attempts.memory_bytes_peak", row.memory_bytes_peak)?,
                log: row.log.map(|text| payload("attempts.log", text)).transpose()?,
            })
        })
        .collect()
}

pub(crate) async fn notes(store: &SqliteStore, task: TaskId) -> Result<Vec<NoteRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/notes.sql", task.0).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read a task's notes"))?;
    rows.into_iter()
        .map(|row| {
            Ok(NoteRecord {
                at: Timestamp(row.at),
                step: row.step_id.map(StepId),
                batch: row.batch_id.map(BatchId),
                attempt: row.attempt.map(|attempt| number("notes.attempt", attempt)).transpose()?,
                kind: note_kind(&row.kind)?,
                detail: row.detail,
            })
        })
        .collect()
}

pub(crate) async fn workers(store: &SqliteStore, limit: u32) -> Result<Vec<WorkerRecord>> {
    let limit = i64::from(limit);
    store.counters.statement();
    let rows = sqlx::query_file!("queries/workers.sql", limit).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("list the workers"))?;
    rows.into_iter()
        .map(|row| {
            Ok(WorkerRecord {
                id: WorkerId(row.id),
                name: row.name,
                incarnation: row.incarnation,
                host: row.host,
                pid: number("workers.pid", row.pid)?,
                slots: number("workers.slots", row.slots)?,
                state: worker_state(&row.state)?,
                joined_at: Timestamp(row.joined_at),
                seen_at: Timestamp(row.seen_at),
                steps_held: number("count of steps", row.steps_held)?,
            })
        })
        .collect()
}

pub(crate) async fn step_statistics(store: &SqliteStore, since: Timestamp) -> Result<Vec<StepStatistics>> {
    store.counters.statement();
    let rows = sqlx::query_file!("queries/step_statistics.sql", since.0).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("sum up the attempts"))?;
    rows.into_iter()
        .map(|row| {
            Ok(StepStatistics {
                namespace: row.namespace,
                template: row.template,
                step: row.step,
                completed: number("count of attempts", row.completed)?,
                failed: number("count of attempts", row.failed)?,
                lost: number("count of attempts", row.lost)?,
                p50_us: number("attempts.execution_us", row.p50_us)?,
                p99_us: number("attempts.execution_us", row.p99_us)?,
            })
        })
        .collect()
}

pub(crate) async fn glance(store: &SqliteStore, now: Timestamp) -> Result<Glance> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/glance.sql", now.0).fetch_one(&store.readers).await;
    let row = row.map_err(engine("look for waiting work"))?;
    let due = row.next_ready_at.is_some_and(|at| at <= now.0);
    Ok(Glance {
        claimable: row.claimable || due,
        next_ready_at: row.next_ready_at.map(Timestamp),
        cancelled: row.cancelled,
        expired: row.expired,
    })
}
