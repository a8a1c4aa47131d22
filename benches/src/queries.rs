//! What people's questions about the whole take when the database holds many finished tasks.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use stepwright_store::performance::{SAMPLE, SLOWEST_MAX, task_context};
use stepwright_store::{AnalyticsQuery, SlowestQuery, Store};
use stepwright_workflow::retry::RetryPolicy;
use stepwright_workflow::{Digest, Payload, Plan, PlanStep, StepLimits, TaskId, Timestamp};

use crate::database::{Engine, FILE};
use crate::growth::{self, BEGUN_MS, EVERY_MS};
use crate::world::data_folder;

/// Finished tasks unless something else is said.
const TASKS: usize = 100_000;
/// How often each question is asked; the first answers come from a cold cache and count too.
const RUNS: usize = 20;
/// What none of them should take at a hundred thousand finished tasks, in milliseconds.
const AIM_MS: f64 = 50.0;

/// What one question took.
#[derive(Debug, Serialize)]
struct Figures {
    query: &'static str,
    store: &'static str,
    finished_tasks: usize,
    runs: usize,
    p50_ms: f64,
    max_ms: f64,
}

/// Asks every question on both engines, and prints a line for each.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let tasks = tasks(arguments)?;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let folder = data_folder()?;
        let (store, database) = engine.open(folder.path()).await?;
        let plan = store.add_plan(&chain()).await?;
        match &database {
            Some(database) => growth::fill_server(database, plan.0, tasks).await?,
            None => growth::fill_file(&folder.path().join(FILE), plan.0, tasks).await?,
        }
        for question in QUESTIONS {
            let figures = ask(&*store, engine, question, tasks).await?;
            println!("{}", serde_json::to_string(&figures)?);
            let Figures { query, store, p50_ms, max_ms, .. } = figures;
            let beyond = if p50_ms > AIM_MS { "  beyond the aim" } else { "" };
            eprintln!("{store:<9} {query:<32} p50 {p50_ms:>7.1} ms  max {max_ms:>7.1} ms{beyond}");
        }
        store.close().await;
    }
    Ok(())
}

fn tasks(arguments: &[String]) -> anyhow::Result<usize> {
    match arguments {
        [] => Ok(TASKS),
        [flag, value] if flag == "--tasks" => {
            let tasks = value.parse().ok().filter(|tasks| *tasks > 0);
            tasks.with_context(|| format!("--tasks: '{value}' is not a number above zero"))
        }
        other => bail!("unknown arguments {other:?} after --queries; known is --tasks N"),
    }
}

const QUESTIONS: [&str; 9] = [
    "analytics of all time",
    "analytics of the last tenth",
    "analytics of a namespace",
    "slowest tasks of all time",
    "slowest 1000 tasks",
    "slowest steps of all time",
    "slowest 1000 steps",
    "health",
    "a task's context",
];

async fn ask(
    store: &dyn Store,
    engine: Engine,
    query: &'static str,
    tasks: usize,
) -> anyhow::Result<Figures> {
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begun = Instant::now();
        answer(store, query, tasks).await.with_context(|| query.to_owned())?;
        took.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(Figures {
        query,
        store: engine.name(),
        finished_tasks: tasks,
        runs: RUNS,
        p50_ms: took[RUNS / 2],
        max_ms: took[RUNS - 1],
    })
}

/// Asks one question, whose answer must be about what is there.
async fn answer(store: &dyn Store, query: &str, tasks: usize) -> anyhow::Result<()> {
    let all = i64::try_from(tasks)?;
    let end = BEGUN_MS + (all + 10) * EVERY_MS;
    let analytics = |since: i64, namespace: Option<&str>| AnalyticsQuery {
        since: Timestamp(since),
        namespace: namespace.map(str::to_owned),
        sample: SAMPLE,
    };
    let slowest = |limit: u32| SlowestQuery {
        since: Timestamp(BEGUN_MS),
        namespace: None,
        template: None,
        version: None,
        limit,
        sample: SAMPLE,
    };
    let found = match query {
        "analytics of all time" => {
            let found = store.analytics(&analytics(BEGUN_MS, None), Timestamp(end)).await?;
            ensure!(found.tasks.completed == tasks as u64, "{} tasks were counted", found.tasks.completed);
            found.steps.completed
        }
        "analytics of the last tenth" => {
            let since = end - all * EVERY_MS / 10;
            store.analytics(&analytics(since, None), Timestamp(end)).await?.steps.completed
        }
        "analytics of a namespace" => {
            store.analytics(&analytics(BEGUN_MS, Some("shapes")), Timestamp(end)).await?.steps.completed
        }
        "slowest tasks of all time" => store.slowest_tasks(&slowest(10)).await?.len() as u64,
        "slowest 1000 tasks" => store.slowest_tasks(&slowest(SLOWEST_MAX)).await?.len() as u64,
        "slowest steps of all time" => store.slowest_steps(&slowest(10)).await?.steps.len() as u64,
        "slowest 1000 steps" => store.slowest_steps(&slowest(SLOWEST_MAX)).await?.steps.len() as u64,
        "health" => store.health(Timestamp(end)).await?.tasks.len() as u64,
        _ => {
            let task = TaskId(all / 2 + 1);
            let found = task_context(store, task, Timestamp(end)).await?;
            found.with_context(|| format!("task {task}"))?.critical_path.steps.len() as u64
        }
    };
    ensure!(found > 0, "nothing was found");
    Ok(())
}

/// The plan of a history's tasks.
fn chain() -> Plan {
    let step = |position: u16| PlanStep {
        name: format!("s{position}"),
        plugin: "examples/shapes".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        digest: Digest::of(b"shapes"),
        handler: "noop".to_owned(),
        parents: position.checked_sub(1).into_iter().collect(),
        config: Payload::null(),
        timeout_ms: 1_000,
        retry: RetryPolicy::default(),
        limits: StepLimits::default(),
    };
    Plan {
        namespace: "shapes".to_owned(),
        name: "noop_chain_5".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "bench".to_owned(),
        input_schema: None,
        steps: (0..5).map(step).collect(),
    }
}
