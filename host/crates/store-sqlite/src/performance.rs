//! Reads of how the whole does: figures, what was slowest, and how much stands where.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use stepwright_store::column::{json, number, parsed};
use stepwright_store::performance::{AnalyticsReadings, ORCHESTRATOR_SILENT_MS, SLOWEST_MAX};
use stepwright_store::row::{
    DurationColumns, ErrorCountRow, QueueRow, RunningColumns, SettledColumns, SlowStepRow, SlowTaskRow,
    StepCountRow, TaskCountsRow, failures, readings,
};
use stepwright_store::{
    Analytics, AnalyticsQuery, AttemptStatus, Connections, Health, Performance, Result, SlowSteps, SlowTask,
    SlowestQuery, Store as _, StoreError,
};
use stepwright_workflow::{Plan, PlanId, Timestamp};

use crate::catalog::plan;
use crate::error::engine;
use crate::store::SqliteStore;

#[async_trait]
impl Performance for SqliteStore {
    async fn analytics(&self, query: &AnalyticsQuery, now: Timestamp) -> Result<Analytics> {
        Ok(Analytics::of(query, now, analytics(self, query, now).await?))
    }

    async fn slowest_tasks(&self, query: &SlowestQuery) -> Result<Vec<SlowTask>> {
        slowest_tasks(self, query).await
    }

    async fn slowest_steps(&self, query: &SlowestQuery) -> Result<SlowSteps> {
        slowest_steps(self, query).await
    }

    async fn health(&self, now: Timestamp) -> Result<Health> {
        health(self, now).await
    }
}

/// When the task settled; when an attempt of it was recorded, how long that ran, and how it ended, as [`status`] reads it.
type SettledLine = (i64, Option<i64>, Option<i64>, Option<u8>);

async fn analytics(store: &SqliteStore, query: &AnalyticsQuery, now: Timestamp) -> Result<AnalyticsReadings> {
    let (since, namespace, sample) = (query.since.0, query.namespace.as_deref(), i64::from(query.sample));
    for _ in 0..3 {
        store.counters.statement();
    }
    let counts = sqlx::query_file_as!(TaskCountsRow, "queries/analytics_tasks.sql", since, namespace, now.0);
    let durations = sqlx::query_file!("queries/analytics_durations.sql", since, namespace, sample);
    let attempts = sqlx::query_file!("queries/analytics_steps.sql", since, namespace, sample);
    // Beside each other: none needs another's answer, and each walks many rows.
    let _turn = store.figures.lock().await;
    let (counts, durations, attempts) = tokio::join!(
        counts.fetch_one(&store.readers),
        durations.fetch_one(&store.readers),
        attempts.fetch_one(&store.readers)
    );
    let counts = counts.map_err(engine("count the tasks"))?;
    let durations = durations.map_err(engine("read the tasks' durations"))?;
    let attempts = attempts.map_err(engine("read the newest attempts"))?;
    let durations: Vec<DurationColumns> = json("durations of tasks", &durations.durations)?;
    let running: Vec<(i64, i64, u8)> = json("attempts of tasks", &attempts.running)?;
    let settled: Vec<SettledLine> = json("attempts of tasks", &attempts.settled)?;
    let running = running.into_iter().map(|(at, us, code)| -> RunningColumns { (at, us, status(code)) });
    let settled = settled
        .into_iter()
        .map(|(settled, at, us, code)| -> SettledColumns { (settled, at, us, code.map(status)) });
    readings(counts.counts()?, durations, running, settled)
}

/// As the statement spells it.
fn status(code: u8) -> AttemptStatus {
    match code {
        0 => AttemptStatus::Completed,
        1 => AttemptStatus::Failed,
        _ => AttemptStatus::Lost,
    }
}

async fn slowest_tasks(store: &SqliteStore, query: &SlowestQuery) -> Result<Vec<SlowTask>> {
    let limit = i64::from(query.limit.min(SLOWEST_MAX));
    let (namespace, template, version) = names(query);
    store.counters.statement();
    let rows = sqlx::query_file_as!(
        SlowTaskRow,
        "queries/slowest_tasks.sql",
        query.since.0,
        namespace,
        template,
        version,
        limit
    );
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("find the slowest tasks"))?;
    rows.into_iter().map(SlowTaskRow::task).collect()
}

async fn slowest_steps(store: &SqliteStore, query: &SlowestQuery) -> Result<SlowSteps> {
    let (limit, sample) = (i64::from(query.limit.min(SLOWEST_MAX)), i64::from(query.sample));
    let (namespace, template, version) = names(query);
    store.counters.statement();
    let rows = sqlx::query_file_as!(
        SlowStepRow,
        "queries/slowest_steps.sql",
        query.since.0,
        namespace,
        template,
        version,
        limit,
        sample
    );
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("find the slowest steps"))?;
    let plans = plans(store, SlowStepRow::plans(&rows)).await?;
    SlowStepRow::steps(rows, &plans)
}

fn names(query: &SlowestQuery) -> (Option<&str>, Option<&str>, Option<&str>) {
    (query.namespace.as_deref(), query.template.as_deref(), query.version.as_deref())
}

async fn plans(store: &SqliteStore, ids: BTreeSet<PlanId>) -> Result<BTreeMap<PlanId, Plan>> {
    let mut plans = BTreeMap::new();
    for id in ids {
        let missing = || StoreError::Inconsistent(format!("plan {id} is not stored"));
        plans.insert(id, plan(store, id).await?.ok_or_else(missing)?);
    }
    Ok(plans)
}

async fn health(store: &SqliteStore, now: Timestamp) -> Result<Health> {
    let tasks = store.task_counts().await?;
    store.counters.statement();
    let steps =
        sqlx::query_file_as!(StepCountRow, "queries/health_steps.sql").fetch_all(&store.readers).await;
    let steps = steps.map_err(engine("count the steps"))?;
    store.counters.statement();
    let errors =
        sqlx::query_file_as!(ErrorCountRow, "queries/health_errors.sql").fetch_all(&store.readers).await;
    let errors = errors.map_err(engine("count the steps in error"))?;
    let plans = plans(store, ErrorCountRow::plans(&errors)).await?;
    let seen_since = now.0.saturating_sub(ORCHESTRATOR_SILENT_MS);
    store.counters.statement();
    let queue = sqlx::query_file_as!(QueueRow, "queries/health_queue.sql", now.0, seen_since);
    let queue = queue.fetch_one(&store.readers).await.map_err(engine("count what is ready"))?;
    let count =
        |row: &StepCountRow| Ok((parsed("steps.state", &row.state)?, number("count of steps", row.count)?));
    Ok(Health {
        at: now,
        tasks: tasks.into_iter().collect(),
        steps: steps.iter().map(count).collect::<Result<_>>()?,
        failures: failures(&steps, &errors, &plans)?,
        queue: queue.counts()?,
        workers: number("count of workers", queue.workers)?,
        slots: number("count of slots", queue.slots)?,
        orchestrators: number("count of orchestrators", queue.orchestrators)?,
        connections: connections(store, &queue)?,
    })
}

fn connections(store: &SqliteStore, _row: &QueueRow) -> Result<Connections> {
    // In memory the one connection writes and reads.
    let own = [&store.writer, &store.readers];
    let pools = if store.remover.is_some() { &own[..] } else { &own[..1] };
    let pools = || pools.iter().copied().chain(&store.remover);
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Ok(Connections {
        open: pools().map(|pool| u64::from(pool.size())).sum(),
        idle: pools().map(|pool| count(pool.num_idle())).sum(),
        max: pools().map(|pool| u64::from(pool.options().get_max_connections())).sum(),
        server_open: None,
        server_max: None,
    })
}
