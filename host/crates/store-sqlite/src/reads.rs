//! Reads for people and for the pump's ticks: outside any transaction, from a connection of their own.

use stepwright_store::column::{json, number, parsed, payload};
use stepwright_store::row::{
    AttemptRow, AuditRow, NoteRow, PauseRow, StatisticsRow, StepDetailRow, SummaryRow, SuspectRow, WorkerRow,
};
use stepwright_store::{
    AttemptRecord, AuditedTask, Glance, NoteRecord, PauseRecord, Result, StepRecord, StepStatistics,
    StoreError, SuspectRecord, TaskFilter, TaskRecord, TaskSummary, WorkerRecord, WorkerState,
};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, Plan, StepId, TaskId, Timestamp, WorkerId};

use crate::catalog::plan;
use crate::encode;
use crate::error::engine;
use crate::store::SqliteStore;

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
    let pauses = pauses(store).await?;
    let steps_detail = step_details(store, id, &plan, &pauses).await?;
    let covers = |pause: &PauseRecord| plan.steps.iter().any(|step| pause.target.covers(id, &plan, step));
    let pauses = pauses.into_iter().filter(covers).collect();
    Ok(Some(TaskRecord {
        summary,
        context: payload("task_inputs.context", input.context)?,
        tags: json("task_inputs.tags", &input.tags)?,
        pauses,
        steps_detail,
    }))
}

async fn step_details(
    store: &SqliteStore,
    task: TaskId,
    plan: &Plan,
    pauses: &[PauseRecord],
) -> Result<Vec<StepRecord>> {
    let first = StepId::new(task, 0).0;
    store.counters.statement();
    let rows = sqlx::query_file_as!(StepDetailRow, "queries/step_details.sql", first);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read a task's steps"))?;
    rows.into_iter().map(|row| row.record(plan, pauses)).collect()
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
    let rows =
        sqlx::query_file_as!(AttemptRow, "queries/attempts.sql", first).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read a task's attempts"))?;
    rows.into_iter().map(|row| row.record(&plan)).collect()
}

pub(crate) async fn notes(store: &SqliteStore, task: TaskId) -> Result<Vec<NoteRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(NoteRow, "queries/notes.sql", task.0).fetch_all(&store.readers).await;
    rows.map_err(engine("read a task's notes"))?.into_iter().map(NoteRow::record).collect()
}

pub(crate) async fn workers(
    store: &SqliteStore,
    state: Option<WorkerState>,
    limit: u32,
) -> Result<Vec<WorkerRecord>> {
    let (limit, state) = (i64::from(limit), state.map(WorkerState::as_str));
    store.counters.statement();
    let rows = sqlx::query_file_as!(WorkerRow, "queries/workers.sql", limit, state);
    let rows = rows.fetch_all(&store.readers).await;
    rows.map_err(engine("list the workers"))?.into_iter().map(WorkerRow::record).collect()
}

pub(crate) async fn step_statistics(store: &SqliteStore, since: Timestamp) -> Result<Vec<StepStatistics>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(StatisticsRow, "queries/step_statistics.sql", since.0)
        .fetch_all(&store.readers)
        .await;
    rows.map_err(engine("sum up the attempts"))?.into_iter().map(StatisticsRow::record).collect()
}

pub(crate) async fn audit(store: &SqliteStore, after: TaskId, limit: u32) -> Result<Vec<AuditedTask>> {
    let limit = i64::from(limit);
    store.counters.statement();
    let rows = sqlx::query_file_as!(AuditRow, "queries/audit.sql", after.0, i64::MAX, limit);
    AuditRow::tasks(rows.fetch_all(&store.readers).await.map_err(engine("audit the tasks"))?)
}

pub(crate) async fn open_batches(
    store: &SqliteStore,
    workers: &[WorkerId],
    until: Timestamp,
) -> Result<Vec<(BatchId, WorkerId)>> {
    if workers.is_empty() {
        return Ok(Vec::new());
    }
    let workers = encode::array(workers)?;
    store.counters.statement();
    let rows = sqlx::query_file!("queries/batches_of.sql", workers, until.0).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read the open batches"))?;
    Ok(rows.into_iter().map(|row| (BatchId(row.id), WorkerId(row.worker_id))).collect())
}

pub(crate) async fn pauses(store: &SqliteStore) -> Result<Vec<PauseRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(PauseRow, "queries/pauses.sql").fetch_all(&store.readers).await;
    rows.map_err(engine("read the pauses"))?.into_iter().map(PauseRow::record).collect()
}

pub(crate) async fn drop_stale_pauses(store: &SqliteStore) -> Result<()> {
    store.counters.statement();
    let dropped = sqlx::query_file!("queries/pauses_stale.sql").execute(&store.writer).await;
    dropped.map(|_| store.counters.commit()).map_err(engine("take stale pauses away"))
}

pub(crate) async fn suspects(store: &SqliteStore) -> Result<Vec<SuspectRecord>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(SuspectRow, "queries/suspects.sql").fetch_all(&store.readers).await;
    rows.map_err(engine("read the suspects"))?.into_iter().map(SuspectRow::record).collect()
}

pub(crate) async fn glance(store: &SqliteStore, now: Timestamp) -> Result<Glance> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/glance.sql", now.0).fetch_one(&store.readers).await;
    let row = row.map_err(engine("look for waiting work"))?;
    let due = row.next_ready_at.is_some_and(|at| at <= now.0);
    Ok(Glance {
        claimable: row.claimable || due,
        external: row.external,
        next_ready_at: row.next_ready_at.map(Timestamp),
        cancelled: row.cancelled,
        expired: row.expired,
        suspects: row.suspects,
        stale_pauses: row.stale_pauses,
    })
}
