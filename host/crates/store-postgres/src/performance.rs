//! Reads of how the whole does: figures, what was slowest, and how much stands where.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use stepwright_store::column::{number, parsed};
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
use crate::store::PostgresStore;

#[async_trait]
impl Performance for PostgresStore {
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

async fn analytics(
    store: &PostgresStore,
    query: &AnalyticsQuery,
    now: Timestamp,
) -> Result<AnalyticsReadings> {
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
    let durations = durations.finished_at.into_iter().zip(durations.total).zip(durations.running);
    let durations =
        durations.map(|((settled, total), running)| -> DurationColumns { (settled, total, running) });
    let status = |text: String| parsed::<AttemptStatus>("attempts.status", &text);
    let running = attempts
        .running_recorded_at
        .into_iter()
        .zip(attempts.running_execution_us)
        .zip(attempts.running_status);
    let running = running.map(|((at, us), text)| -> Result<RunningColumns> { Ok((at, us, status(text)?)) });
    let settled = attempts.settled_finished_at.into_iter().zip(attempts.settled_recorded_at);
    let settled = settled.zip(attempts.settled_execution_us).zip(attempts.settled_status);
    let settled = settled.map(|(((settled, at), us), text)| -> Result<SettledColumns> {
        Ok((settled, at, us, text.map(status).transpose()?))
    });
    let (running, settled): (Vec<_>, Vec<_>) =
        (running.collect::<Result<_>>()?, settled.collect::<Result<_>>()?);
    readings(counts.counts()?, durations, running, settled)
}

async fn slowest_tasks(store: &PostgresStore, query: &SlowestQuery) -> Result<Vec<SlowTask>> {
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

async fn slowest_steps(store: &PostgresStore, query: &SlowestQuery) -> Result<SlowSteps> {
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

async fn plans(store: &PostgresStore, ids: BTreeSet<PlanId>) -> Result<BTreeMap<PlanId, Plan>> {
    let mut plans = BTreeMap::new();
    for id in ids {
        let missing = || StoreError::Inconsistent(format!("plan {id} is not stored"));
        plans.insert(id, plan(store, id).await?.ok_or_else(missing)?);
    }
    Ok(plans)
}

async fn health(store: &PostgresStore, now: Timestamp) -> Result<Health> {
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

fn connections(store: &PostgresStore, row: &QueueRow) -> Result<Connections> {
    let pools = || [&store.writers, &store.readers].into_iter();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let of_server = |value: Option<i64>| value.map(|value| number("count of connections", value)).transpose();
    Ok(Connections {
        open: pools().map(|pool| u64::from(pool.size())).sum(),
        idle: pools().map(|pool| count(pool.num_idle())).sum(),
        max: pools().map(|pool| u64::from(pool.options().get_max_connections())).sum(),
        server_open: of_server(row.server_open)?,
        server_max: of_server(row.server_max)?,
    })
}
