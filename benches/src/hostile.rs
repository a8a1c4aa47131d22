//! Honest steps beside hostile ones: what the latter cost the former, and what they leave behind in the worker processes.
//!
//! Both runs keep the same number of tasks under way for the same time. In the second, every fifth task has one hostile step, in
//! turn one of each kind, ended after 50 ms of CPU or half a second at the latest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use stepwright_conformance::{MISDEEDS, Misdeed};
use stepwright_orchestrator::OrchestratorHandle;
use stepwright_orchestrator::catalog::{Prepared, TaskRequest};
use stepwright_workflow::Payload;
use stepwright_workflow::task::TaskState;

use crate::database::Engine;
use crate::usage;
use crate::workload::HONEST;
use crate::world::{World, guest};

/// Of so many tasks, one is hostile.
const ONE_IN: usize = 5;
/// How long each run takes unless something else is said.
const SECONDS: u64 = 60;
/// Before the clock starts: plugins are loaded, and each place of the pool was used.
const WARM_UP: Duration = Duration::from_secs(3);

/// One run.
#[derive(Debug, Serialize)]
struct Figures {
    run: &'static str,
    seconds: f64,
    honest_steps: usize,
    honest_steps_per_s: f64,
    hostile_steps: usize,
    hostile_steps_per_s: f64,
    /// CPU of the worker processes as a share of what one core has.
    workers_cpu_cores: f64,
    descriptors_before: usize,
    descriptors_after: usize,
    memory_mb_before: f64,
    memory_mb_after: f64,
}

/// Runs both, and prints a line for each and the ratio.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let length = seconds(arguments)?;
    let world = World::start(&HONEST, Engine::Sqlite, 0).await?;
    world.add_plugin(&guest("hostile")?).await?;
    let mut hostile = Vec::new();
    for misdeed in MISDEEDS {
        let name = format!("hostile/{}", misdeed.name);
        hostile.push((misdeed, world.add_template(&name, &misdeed.template()).await?));
    }
    drive(&world, &hostile, WARM_UP).await?;
    let alone = measure(&world, &[], length).await?;
    let mixed = measure(&world, &hostile, length).await?;
    for figures in [&alone, &mixed] {
        println!("{}", serde_json::to_string(figures)?);
        eprintln!(
            "{:<16} {:>9.0} honest/s {:>8.1} hostile/s {:>6.2} cores  descriptors {} -> {}  memory {:.1} -> {:.1} MB",
            figures.run,
            figures.honest_steps_per_s,
            figures.hostile_steps_per_s,
            figures.workers_cpu_cores,
            figures.descriptors_before,
            figures.descriptors_after,
            figures.memory_mb_before,
            figures.memory_mb_after,
        );
    }
    eprintln!(
        "honest throughput with hostile steps: {:.3} of that without",
        mixed.honest_steps_per_s / alone.honest_steps_per_s
    );
    world.stop().await
}

fn seconds(arguments: &[String]) -> anyhow::Result<Duration> {
    match arguments {
        [] => Ok(Duration::from_secs(SECONDS)),
        [flag, value] if flag == "--seconds" => {
            let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
            Ok(Duration::from_secs(
                seconds.with_context(|| format!("--seconds: '{value}' is not a number above zero"))?,
            ))
        }
        other => bail!("unknown arguments {other:?} after --hostile; known is --seconds N"),
    }
}

type Hostile<'a> = (&'a Misdeed, Prepared);

async fn measure(world: &World, hostile: &[Hostile<'_>], length: Duration) -> anyhow::Result<Figures> {
    let (descriptors_before, memory_before, cpu_before) = held(world)?;
    let begun = Instant::now();
    let (honest_steps, hostile_steps) = drive(world, hostile, length).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (descriptors_after, memory_after, cpu_after) = held(world)?;
    let mb = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(Figures {
        run: if hostile.is_empty() { "honest alone" } else { "one in five bad" },
        seconds,
        honest_steps,
        honest_steps_per_s: honest_steps as f64 / seconds,
        hostile_steps,
        hostile_steps_per_s: hostile_steps as f64 / seconds,
        workers_cpu_cores: (cpu_after - cpu_before).as_secs_f64() / seconds,
        descriptors_before,
        descriptors_after,
        memory_mb_before: mb(memory_before),
        memory_mb_after: mb(memory_after),
    })
}

/// Descriptors, memory and CPU time of the worker processes.
fn held(world: &World) -> anyhow::Result<(usize, u64, Duration)> {
    let (mut descriptors, mut memory, mut cpu) = (0, 0, Duration::ZERO);
    for worker in &world.workers {
        descriptors += usage::descriptors(worker.pid())?;
        memory += usage::memory(worker.pid())?;
        cpu += usage::cpu(worker.pid())?;
    }
    Ok((descriptors, memory, cpu))
}

/// Keeps tasks under way for so long, and counts those that ended: honest and hostile ones.
async fn drive(world: &World, hostile: &[Hostile<'_>], length: Duration) -> anyhow::Result<(usize, usize)> {
    let begun = Instant::now();
    let (mut honest_ended, mut hostile_ended, mut started) = (0, 0, 0);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < HONEST.in_flight && begun.elapsed() < length {
            let bad = (started % ONE_IN == 0)
                .then(|| hostile.get(started / ONE_IN % hostile.len().max(1)))
                .flatten();
            started += 1;
            running.push(one(&world.handle, &world.prepared, bad));
        }
        match running.next().await {
            Some(was_hostile) => {
                if was_hostile? {
                    hostile_ended += 1;
                } else {
                    honest_ended += 1;
                }
            }
            None => return Ok((honest_ended, hostile_ended)),
        }
    }
}

/// Runs one task to its end, which must be the one that it has to have, and says whether it was hostile.
async fn one(
    handle: &OrchestratorHandle,
    honest: &Prepared,
    hostile: Option<&Hostile<'_>>,
) -> anyhow::Result<bool> {
    let (prepared, context, end) = match hostile {
        Some((misdeed, prepared)) => (prepared, misdeed.context, TaskState::Error),
        None => (honest, "{\"n\":1}", TaskState::Complete),
    };
    let context = Payload::parse(context).context("the context")?;
    let request =
        TaskRequest { context, tags: Vec::new(), priority: 0, idempotency_key: None, start_at: None };
    let task = prepared.task(request).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let (_, state) = handle.run(task).await?;
    ensure!(state == end, "a task ended as {state}, not as {end}");
    Ok(hostile.is_some())
}
