//! What the HTTP API costs: how many tasks can be started through it, one by one and many at once, how much of the orchestrator's
//! time that takes, and how late a stream tells of what happens.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stepwright_store::{NewToken, TokenScope};
use stepwright_workflow::{Clock as _, Digest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::database::Engine;
use crate::world::{self, SystemClock, WorkerProcess, data_folder};
use crate::{usage, workload};

/// How long each kind of start is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// Tasks of one request, where there are several.
const BULK: usize = 1_000;
/// Tasks whose events are followed, and how many are started in a second.
const FOLLOWED: usize = 300;
const STARTED_PER_S: u32 = 50;
const SECRET: &str = "sw_bench";
const TEMPLATE: &str = "shapes/noop_chain_5";

/// What one way of starting came to.
#[derive(Debug, Serialize)]
struct Starts {
    requests: &'static str,
    store: &'static str,
    connections: usize,
    tasks_per_request: usize,
    tasks_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the whole process that serves the API and orchestrates.
    cpu_ms_per_task: f64,
    /// Of it in the threads of the database's driver; SQLite itself runs in them.
    cpu_ms_per_task_sqlite: f64,
}

/// How long after the round that brought it about began an event was read, commit and all.
#[derive(Debug, Serialize)]
struct Delay {
    events: u64,
    store: &'static str,
    p50_ms: u64,
    p99_ms: u64,
    max_ms: u64,
}

/// An orchestrator with its API, killed when it is dropped.
struct Host {
    process: Child,
    address: String,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Measures, and prints a JSON line for each figure to stdout and a line for people to stderr.
pub(crate) async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let engine = match arguments {
        [] => Engine::Sqlite,
        [flag, name] if flag == "--store" => Engine::named(Some(name))?,
        other => bail!("unknown arguments {other:?} after --api; known is --store sqlite|postgres"),
    };
    let (data, run) = (data_folder()?, tempfile::Builder::new().prefix("sw-bench-").tempdir()?);
    let (store, database) = engine.open(data.path()).await?;
    world::prepare(&*store, data.path(), &workload::CHAIN).await?;
    let token = NewToken {
        name: "bench".to_owned(),
        scope: TokenScope::Run,
        hash: Digest::of(SECRET.as_bytes()),
        created_by: "bench".to_owned(),
        expires_at: None,
    };
    store.add_token(&token, SystemClock.now()).await?;
    store.close().await;
    let url = database.as_ref().map(stepwright_postgres_harness::Database::url);
    let host = Host::start(data.path(), run.path(), url.as_deref())?;
    // Nobody runs anything yet: what is measured is the start alone.
    for (requests, connections, tasks) in [("single", 8, 1), ("single", 64, 1), ("bulk", 2, BULK)] {
        let starts = host.starts(engine, requests, connections, tasks).await?;
        println!("{}", serde_json::to_string(&starts)?);
        eprintln!(
            "{:<7} x{:<3} {:>8.0} tasks/s  p50 {:>6.2} ms  p99 {:>6.2} ms  {:.3} ms CPU a task, {:.3} of it in SQLite's threads",
            requests,
            connections,
            starts.tasks_per_s,
            starts.p50_ms,
            starts.p99_ms,
            starts.cpu_ms_per_task,
            starts.cpu_ms_per_task_sqlite
        );
    }
    drop(host);
    let host = Host::start(data.path(), run.path(), url.as_deref())?;
    let worker = world::worker(1, data.path(), &run.path().join("run"))?;
    let delay = host.delay(engine, &worker).await?;
    println!("{}", serde_json::to_string(&delay)?);
    eprintln!(
        "stream  {} events  p50 {} ms  p99 {} ms  at most {} ms",
        delay.events, delay.p50_ms, delay.p99_ms, delay.max_ms
    );
    Ok(())
}

impl Host {
    fn start(data: &Path, run: &Path, database: Option<&str>) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("stepwright");
        let mut command = Command::new(&program);
        command.arg("--data-dir").arg(data).arg("--run-dir").arg(run.join("run"));
        command.args(["--log-level", "warn", "--json", "orchestrate", "--api-listen", "127.0.0.1:0"]);
        command.args(["--set", "api.requests_per_second=1000000"]);
        if let Some(database) = database {
            command.args(["--db", database]);
        }
        let spawned = command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.with_context(|| format!("failed to start {}", program.display()))?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("its stdout")?;
        let mut host = Self { process, address: String::new() };
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line).context("it says that it is ready")?;
        let address = ready["api"].as_str().and_then(|url| url.strip_prefix("http://"));
        host.address = address.context("it serves the API")?.to_owned();
        Ok(host)
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender.
        #[allow(clippy::disallowed_methods, reason = "nothing waits for it")]
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, method: &str, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(method).uri(path).header("host", &self.address);
        let request = request.header("authorization", format!("Bearer {SECRET}"));
        Ok(request.header("content-type", "application/json").body(Full::new(body))?)
    }

    async fn starts(
        &self,
        engine: Engine,
        requests: &'static str,
        connections: usize,
        tasks: usize,
    ) -> anyhow::Result<Starts> {
        let one = json!({ "template": TEMPLATE, "context": { "n": 1 }, "in": "1h" });
        let (path, body) = match requests {
            "bulk" => ("/v1/tasks/bulk", json!({ "tasks": vec![one; tasks] })),
            _ => ("/v1/tasks", one),
        };
        let body = Bytes::from(body.to_string());
        let mut asking = JoinSet::new();
        let pid = self.process.id();
        let (cpu, driver) = (usage::cpu(pid)?, usage::cpu_of_threads(pid, "sqlx-sqlite")?);
        let begun = Instant::now();
        for _ in 0..connections {
            let mut sender = self.connect().await?;
            let request = self.request("POST", path, body.clone())?;
            asking.spawn(async move {
                let mut took = Histogram::<u64>::new(3)?;
                while begun.elapsed() < MEASURED {
                    let asked = Instant::now();
                    sender.ready().await?;
                    whole(sender.send_request(request.clone()).await?).await?;
                    took.record(u64::try_from(asked.elapsed().as_micros())?)?;
                }
                anyhow::Ok(took)
            });
        }
        let mut took = Histogram::<u64>::new(3)?;
        while let Some(ended) = asking.join_next().await {
            took.add(ended??)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let (cpu, driver) = (usage::cpu(pid)? - cpu, usage::cpu_of_threads(pid, "sqlx-sqlite")? - driver);
        let started = took.len() as f64 * tasks as f64;
        let ms = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1_000.0;
        let per_task = |spent: Duration| spent.as_secs_f64() * 1_000.0 / started;
        Ok(Starts {
            requests,
            store: engine.name(),
            connections,
            tasks_per_request: tasks,
            tasks_per_s: started / seconds,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            cpu_ms_per_task: per_task(cpu),
            cpu_ms_per_task_sqlite: per_task(driver),
        })
    }

    /// Follows the events of tasks that run, from each round's beginning to the client.
    async fn delay(&self, engine: Engine, worker: &WorkerProcess) -> anyhow::Result<Delay> {
        let mut sender = self.connect().await?;
        let wanted = self.request("GET", "/v1/events?name=task.*,step.*", Bytes::new())?;
        let mut stream = sender.send_request(wanted).await?.into_body();
        let mut starter = self.connect().await?;
        let start = json!({ "template": TEMPLATE, "context": { "n": 1 } }).to_string();
        let start = self.request("POST", "/v1/tasks", start.into())?;
        // The first task waits for the worker and warms what there is.
        whole(starter.send_request(start.clone()).await?).await?;
        until_complete(&mut stream, 1, |_| Ok(())).await?;
        ensure!(usage::cpu(worker.pid()).is_ok(), "the worker is gone");
        let starting = async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / STARTED_PER_S);
            for _ in 0..FOLLOWED {
                tick.tick().await;
                starter.ready().await?;
                whole(starter.send_request(start.clone()).await?).await?;
            }
            anyhow::Ok(())
        };
        let mut delays = Histogram::<u64>::new(3)?;
        let reading = until_complete(&mut stream, FOLLOWED, |at| {
            Ok(delays.record(u64::try_from(SystemClock.now().0 - at).unwrap_or(0))?)
        });
        tokio::try_join!(starting, reading)?;
        let ms = |quantile: f64| delays.value_at_quantile(quantile);
        Ok(Delay {
            events: delays.len(),
            store: engine.name(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: delays.max(),
        })
    }
}

/// Reads an answer to its end, which must be a good one.
async fn whole(answer: Response<Incoming>) -> anyhow::Result<()> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        matches!(status, StatusCode::OK | StatusCode::CREATED),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

#[derive(Deserialize)]
struct Told {
    event: String,
    at: i64,
}

/// Reads a stream until so many tasks are complete, and hands over when each of its events was.
async fn until_complete(
    stream: &mut Incoming,
    tasks: usize,
    mut told: impl FnMut(i64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut text, mut complete) = (Vec::new(), 0);
    while complete < tasks {
        let frame = stream.frame().await.context("the stream ended")??;
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            let event: Told = serde_json::from_slice(data)?;
            told(event.at)?;
            complete += usize::from(event.event == "task.completed");
        }
    }
    Ok(())
}
