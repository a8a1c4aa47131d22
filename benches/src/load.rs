//! The load generator: keeps a number of tasks under way until all have ended, and takes the figures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use futures::stream::{self};
use hdrhistogram::Histogram;
use stepwright_orchestrator::catalog::{Prepared, TaskRequest};
use stepwright_orchestrator::{OrchestratorHandle, OrchestratorStats};
use stepwright_store::StoreCounters;
use stepwright_workflow::Payload;
use stepwright_workflow::task::TaskState;

use crate::floor::Floors;
use crate::report::Report;
use crate::usage;
use crate::workload::Workload;
use crate::world::World;

/// Tasks before the clock starts: plugins are loaded, statements prepared, the database has its first pages.
const WARM_UP: usize = 20;

struct Reading {
    at: Instant,
    counters: StoreCounters,
    stats: OrchestratorStats,
    cpu_own: Duration,
    cpu_workers: Duration,
}

/// Runs one workload and takes its figures.
pub(crate) async fn run(world: &mut World, workload: &Workload, floors: &Floors) -> anyhow::Result<Report> {
    drive(world, workload, WARM_UP.min(workload.tasks)).await?;
    let (wal_before, before) = (wal(world).await?, read(world)?);
    let latencies = drive(world, workload, workload.tasks).await?;
    let (after, wal_after) = (read(world)?, wal(world).await?);
    let steps = workload.tasks * workload.steps;
    let per_step = |from: Duration, to: Duration| (to - from).as_secs_f64() * 1_000.0 / steps as f64;
    let workers = per_step(before.cpu_workers, after.cpu_workers);
    let cpu = per_step(before.cpu_own, after.cpu_own) + workers;
    let seconds = (after.at - before.at).as_secs_f64();
    let p50_ms = latencies.value_at_quantile(0.5) as f64 / 1_000.0;
    let messages = |stats: &OrchestratorStats| stats.messages_sent + stats.messages_received;
    Ok(Report {
        workload: workload.name,
        store: world.engine.name(),
        finished_before: world.finished,
        tasks: workload.tasks,
        steps,
        in_flight: workload.in_flight,
        seconds,
        steps_per_s: steps as f64 / seconds,
        p50_ms,
        p99_ms: latencies.value_at_quantile(0.99) as f64 / 1_000.0,
        cpu_ms_per_step: cpu,
        cpu_ms_per_step_workers: workers,
        rss_mb: memory(world)? as f64 / 1_048_576.0,
        commits: after.counters.commits - before.counters.commits,
        statements: after.counters.statements - before.counters.statements,
        wal_bytes: wal_before.zip(wal_after).map(|(before, after)| after - before),
        zmq_messages: messages(&after.stats) - messages(&before.stats),
        ratio_to_wasm_floor: cpu * 1_000.0 / floors.wasm_call_us,
        ratio_to_commit_floor: p50_ms * floors.commits_per_s / 1_000.0,
    })
}

/// Where the server's log ends, if there is a server.
async fn wal(world: &World) -> anyhow::Result<Option<i64>> {
    match &world.database {
        Some(database) => Ok(Some(crate::database::wal_bytes(database).await?)),
        None => Ok(None),
    }
}

fn read(world: &World) -> anyhow::Result<Reading> {
    let workers = world.workers.iter().map(|worker| usage::cpu(worker.pid()));
    Ok(Reading {
        at: Instant::now(),
        counters: world.store.counters(),
        stats: world.handle.stats(),
        cpu_own: usage::cpu(std::process::id())?,
        cpu_workers: workers.sum::<anyhow::Result<Duration>>()?,
    })
}

fn memory(world: &World) -> anyhow::Result<u64> {
    let workers =
        world.workers.iter().map(|worker| usage::memory(worker.pid())).sum::<anyhow::Result<u64>>()?;
    Ok(workers + usage::memory(std::process::id())?)
}

async fn drive(world: &World, workload: &Workload, tasks: usize) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::new(3).context("a histogram")?;
    let running = (0..tasks).map(|number| one(&world.handle, &world.prepared, number));
    let mut ended = stream::iter(running).buffer_unordered(workload.in_flight);
    while let Some(latency) = ended.next().await {
        latencies.record(u64::try_from(latency?.as_micros())?)?;
    }
    Ok(latencies)
}

/// Starts one task and waits for its end.
async fn one(handle: &OrchestratorHandle, prepared: &Prepared, number: usize) -> anyhow::Result<Duration> {
    let text = format!("{{\"n\":{number},\"note\":\"{:x<160}\"}}", "");
    let context = Payload::parse(text).context("the context")?;
    let request =
        TaskRequest { context, tags: Vec::new(), priority: 0, idempotency_key: None, start_at: None };
    let task = prepared.task(request).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let begun = Instant::now();
    let (_, state) = handle.run(task).await?;
    ensure!(state == TaskState::Complete, "a task ended as {state}");
    Ok(begun.elapsed())
}
