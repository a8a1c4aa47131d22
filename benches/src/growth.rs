//! History before a workload: finished tasks of five steps, as if they had run, written by set-based statements; and how much
//! they slow the running ones.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use stepwright_postgres_harness::Database;

use crate::report::Report;

/// What one history did to one workload: the medians of its runs.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    workload: &'static str,
    store: &'static str,
    /// Tasks that had finished before.
    finished_before: usize,
    runs: usize,
    /// The median run.
    steps_per_s_median: f64,
    /// Over the median with the first history that was named, usually none at all.
    ratio: f64,
}

/// Compares the runs of each workload, which come in the order in which they were made.
pub(crate) fn compare(reports: &[Report]) -> Vec<Growth> {
    let mut grown: Vec<Growth> = Vec::new();
    for report in reports {
        let same = |other: &&Report| {
            other.workload == report.workload && other.finished_before == report.finished_before
        };
        if grown.iter().any(|g| g.workload == report.workload && g.finished_before == report.finished_before)
        {
            continue;
        }
        let mut speeds: Vec<f64> = reports.iter().filter(same).map(|run| run.steps_per_s).collect();
        speeds.sort_by(f64::total_cmp);
        let median = speeds[speeds.len() / 2];
        let first = grown.iter().find(|g| g.workload == report.workload);
        grown.push(Growth {
            workload: report.workload,
            store: report.store,
            finished_before: report.finished_before,
            runs: speeds.len(),
            steps_per_s_median: median,
            ratio: median / first.map_or(median, |first| first.steps_per_s_median),
        });
    }
    grown
}

/// Prints the ratios: a JSON line each to stdout, and lines for people to stderr.
pub(crate) fn print(grown: &[Growth]) -> anyhow::Result<()> {
    eprintln!();
    for growth in grown {
        println!("{}", serde_json::to_string(growth)?);
        eprintln!(
            "{:<4} with {:>9} finished tasks: {:>7.0} steps/s, {:.2} of the first",
            growth.workload, growth.finished_before, growth.steps_per_s_median, growth.ratio
        );
    }
    Ok(())
}

/// When the first task of a history was created, and how long after each the next one was, in milliseconds.
pub(crate) const BEGUN_MS: i64 = 1_700_000_000_000;
pub(crate) const EVERY_MS: i64 = 100;

fn context() -> String {
    format!("{{\"n\":1,\"note\":\"{:x<160}\"}}", "")
}

/// Fills a server's database.
pub(crate) async fn fill_server(database: &Database, plan: i64, tasks: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&database.url()).await?;
    let context = context();
    let statements = [
        "INSERT INTO workers (name, incarnation, host, pid, slots, orchestrator, state, lease_until, joined_at, seen_at)
         VALUES ('old', 'old', 'old', 1, 1, 'old', 'left', 0, 0, 0)"
            .to_owned(),
        format!(
            "INSERT INTO tasks (id, plan_id, namespace, template, state, priority, created_at, started_at, finished_at)
             SELECT nextval('task_ids'), {plan}, 'shapes', 'noop_chain_5', 'complete', 0, {BEGUN_MS} + i * {EVERY_MS},
                    {BEGUN_MS} + i * {EVERY_MS} + 5, {BEGUN_MS} + i * {EVERY_MS} + 20 + i * 7919 % 977
             FROM generate_series(1::bigint, {tasks}) AS n (i)"
        ),
        format!("INSERT INTO task_inputs SELECT id, '{context}', '[]' FROM tasks"),
        "INSERT INTO batches (id, worker_id, created_at, closed_at, ended, steps)
         SELECT nextval('batch_ids'), 1, 1, 1, 'reconciled', '[]' FROM tasks"
            .to_owned(),
        format!(
            "INSERT INTO steps (id, plan_id, batch_id, pending_parents, attempt, priority, state)
             SELECT (t.id << 16) + s.at, {plan}, t.id, 0, 1, 0, 'complete' FROM tasks AS t, generate_series(0, 4) AS s (at)"
        ),
        "INSERT INTO attempts (step_id, attempt, batch_id, started_at, recorded_at, execution_us, cpu_us, memory_bytes_peak,
                               status, digest, output)
         SELECT s.id, 1, s.batch_id, t.started_at, t.finished_at, 20 + s.id % 1009 + CASE WHEN s.id % 5003 = 0 THEN 2000000 ELSE 0 END,
                20, 65536, 'completed', sha256(s.id::text::bytea), '{\"value\": 1}'
         FROM steps AS s
         JOIN tasks AS t ON t.id = s.id >> 16"
            .to_owned(),
        "VACUUM ANALYZE".to_owned(),
        "CHECKPOINT".to_owned(),
    ];
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Fills a file.
pub(crate) async fn fill_file(path: &Path, plan: i64, tasks: usize) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        // Nobody would miss it after a power cut.
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-262144");
    let mut connection = options.connect().await.with_context(|| path.display().to_string())?;
    let context = context();
    let statements = [
        "BEGIN IMMEDIATE".to_owned(),
        "INSERT INTO workers (name, incarnation, host, pid, slots, orchestrator, state, lease_until, joined_at, seen_at)
         VALUES ('old', 'old', 'old', 1, 1, 'old', 'left', 0, 0, 0)"
            .to_owned(),
        format!(
            "INSERT INTO tasks (plan_id, namespace, template, state, priority, created_at, started_at, finished_at)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {tasks})
             SELECT {plan}, 'shapes', 'noop_chain_5', 'complete', 0, {BEGUN_MS} + i * {EVERY_MS}, {BEGUN_MS} + i * {EVERY_MS} + 5,
                    {BEGUN_MS} + i * {EVERY_MS} + 20 + i * 7919 % 977
             FROM n"
        ),
        format!("INSERT INTO task_inputs (task_id, context, tags) SELECT id, '{context}', '[]' FROM tasks"),
        "INSERT INTO batches (id, worker_id, created_at, closed_at, ended, steps)
         SELECT id, 1, 1, 1, 'reconciled', '[]' FROM tasks"
            .to_owned(),
        format!(
            "INSERT INTO steps (id, plan_id, batch_id, pending_parents, attempt, priority, state, output)
             SELECT (t.id << 16) + s.value, {plan}, t.id, 0, 1, 0, 'complete', '{{\"value\": 1}}'
             FROM tasks AS t, json_each('[0,1,2,3,4]') AS s"
        ),
        "INSERT INTO attempts (step_id, attempt, batch_id, started_at, recorded_at, execution_us, cpu_us, memory_bytes_peak,
                               status, digest)
         SELECT s.id, 1, s.batch_id, t.started_at, t.finished_at, 20 + s.id % 1009 + iif(s.id % 5003 = 0, 2000000, 0), 20, 65536,
                'completed', randomblob(32)
         FROM steps AS s
         JOIN tasks AS t ON t.id = s.id >> 16"
            .to_owned(),
        "COMMIT".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
    ];
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    connection.close().await?;
    Ok(())
}
