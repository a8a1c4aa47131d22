//! The main job: orders through WebAssembly steps, with real processes, and a summary that accounts for each of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use crate::orders::{Order, orders};
use crate::run::{Outcome, cargo, read, root, run, section};
use crate::tools;

const TEMPLATE: &str = "shop/order_fulfillment";
const WORKERS: usize = 2;

struct Options {
    orders: usize,
    seed: u64,
}

pub(crate) fn demo(arguments: &[String]) -> Outcome {
    let options = parse(arguments)?;
    section("building the host and the plugins", || {
        tools::wasm_target()?;
        run(&mut cargo(["build", "--quiet", "--locked", "--package", "stepwright"]))?;
        tools::build_plugins()
    })?;
    let place = Place::make()?;
    let mut processes = section("starting an orchestrator and two workers", || start(&place))?;
    let begun = Instant::now();
    let batch = write_orders(&place, &options)?;
    let result = section("fulfilling orders", || {
        let file = batch.file.to_string_lossy().into_owned();
        let mut command = place.stepwright(&["task", "run", TEMPLATE, "--batch", &file, "--watch"]);
        let status = command.status().map_err(|error| format!("failed to start the host: {error}"))?;
        // 2 means that some tasks ended in error: here those are the orders that must be declined.
        if matches!(status.code(), Some(0 | 2)) {
            Ok(())
        } else {
            Err(format!("'task run' ended with {status}"))
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let summary = result.and_then(|()| summarise(&place, &batch, seconds));
    let stopped = processes.stop();
    summary?;
    stopped?;
    println!("\nLook around: {} task list", place.shown());
    Ok(())
}

fn parse(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options { orders: 1_000, seed: 20_261_123 };
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{flag} needs a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{flag}: '{value}' is not a number"))?;
        match flag.as_str() {
            "--orders" if (1..=100_000).contains(&number) => {
                options.orders = usize::try_from(number).unwrap_or(1);
            }
            "--orders" => return Err(format!("--orders: {number} is not between 1 and 100000")),
            "--seed" => options.seed = number,
            other => return Err(format!("unknown argument '{other}'; known are --orders and --seed")),
        }
    }
    Ok(options)
}

/// Where the demonstration lives: a fresh folder each time.
struct Place {
    binary: PathBuf,
    folder: PathBuf,
    /// Sockets have short names, so they do not live below a folder whose name may be long.
    run: PathBuf,
}

impl Place {
    fn make() -> Outcome<Self> {
        let folder = root().join("target/demo");
        let run = std::env::temp_dir().join(format!("stepwright-demo-{}", std::process::id()));
        for made in [&folder, &run] {
            if made.exists() {
                fs::remove_dir_all(made)
                    .map_err(|error| format!("failed to empty {}: {error}", made.display()))?;
            }
        }
        // The run folder is the host's to make: it must be closed to everybody else.
        fs::create_dir_all(&folder)
            .map_err(|error| format!("failed to make {}: {error}", folder.display()))?;
        let binary = root().join("target/debug").join(format!("stepwright{}", std::env::consts::EXE_SUFFIX));
        Ok(Self { binary, folder, run })
    }

    fn stepwright(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).arg("--data-dir").arg(&self.folder).arg("--run-dir").arg(&self.run);
        command.args(arguments);
        command
    }

    fn shown(&self) -> String {
        let from = std::env::current_dir().unwrap_or_default();
        let short = |path: &Path| path.strip_prefix(&from).unwrap_or(path).display().to_string();
        format!("{} --data-dir {}", short(&self.binary), short(&self.folder))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.run);
    }
}

/// The processes of the demonstration; killed if something goes wrong before they are stopped.
struct Processes(Vec<(String, Child)>);

impl Processes {
    fn start(&mut self, place: &Place, name: &str, arguments: &[&str]) -> Outcome {
        let log = place.folder.join(format!("{name}.log"));
        let log_file =
            fs::File::create(&log).map_err(|error| format!("failed to write {}: {error}", log.display()))?;
        let mut command = place.stepwright(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().map_err(|error| format!("failed to start {name}: {error}"))?;
        let stdout = child.stdout.take();
        self.0.push((name.to_owned(), child));
        let mut line = String::new();
        let mut lines = BufReader::new(stdout.ok_or("a process without output")?);
        let _ = lines.read_line(&mut line);
        if line.is_empty() {
            return Err(format!("{name} did not start; see {}", log.display()));
        }
        println!("   {}", line.trim_end());
        // Its pipe must stay open, and must not fill up.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(())
    }

    /// Workers first: they hand in their last outcomes.
    fn stop(&mut self) -> Outcome {
        while let Some((name, mut child)) = self.0.pop() {
            terminate(&child)?;
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                match child.try_wait() {
                    Ok(Some(status)) if status.success() => break,
                    Ok(Some(status)) => return Err(format!("{name} ended with {status}")),
                    Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                    _ => {
                        let _ = child.kill();
                        return Err(format!("{name} did not stop within 20 s of SIGTERM"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn terminate(child: &Child) -> Outcome {
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]))
}

fn start(place: &Place) -> Outcome<Processes> {
    let mut processes = Processes(Vec::new());
    processes.start(place, "orchestrator", &["orchestrate"])?;
    for number in 1..=WORKERS {
        let name = format!("worker-{number}");
        processes.start(place, &name, &["work", "--name", &name])?;
    }
    for plugin in ["shop", "shapes"] {
        let file = tools::plugin(plugin).to_string_lossy().into_owned();
        run(&mut place.stepwright(&["plugin", "add", &file]))?;
    }
    let templates = root().join("config/templates");
    let mut files = crate::tidy::files(&templates)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let files: Vec<String> =
        files.iter().map(|file| templates.join(file).to_string_lossy().into_owned()).collect();
    let mut arguments = vec!["template", "add"];
    arguments.extend(files.iter().map(String::as_str));
    run(&mut place.stepwright(&arguments))?;
    Ok(processes)
}

struct Batch {
    file: PathBuf,
    /// Each order's kind and whether it must be fulfilled, by its id.
    expected: BTreeMap<String, (&'static str, bool)>,
}

fn write_orders(place: &Place, options: &Options) -> Outcome<Batch> {
    let file = place.folder.join("orders.jsonl");
    let failed = |error: std::io::Error| format!("failed to write {}: {error}", file.display());
    let mut out = std::io::BufWriter::new(fs::File::create(&file).map_err(failed)?);
    let mut expected = BTreeMap::new();
    for Order { id, kind, fulfilled, context } in orders(options.seed, options.orders) {
        let line = serde_json::json!({ "context": context, "idempotency_key": id, "tags": { "kind": kind } });
        writeln!(out, "{line}").map_err(failed)?;
        expected.insert(id, (kind, fulfilled));
    }
    out.flush().map_err(failed)?;
    Ok(Batch { file, expected })
}

fn json(place: &Place, arguments: &[&str]) -> Outcome<Value> {
    let text = read(&mut place.stepwright(arguments))?;
    serde_json::from_str(&text).map_err(|error| format!("'{}' printed no JSON: {error}", arguments.join(" ")))
}

fn summarise(place: &Place, batch: &Batch, seconds: f64) -> Outcome {
    let limit = (batch.expected.len() + 1).to_string();
    let listed = json(place, &["--json", "task", "list", "--limit", &limit])?;
    let tasks = listed["tasks"].as_array().ok_or("'task list' printed no tasks")?;
    let statistics = json(place, &["--json", "task", "summary"])?;
    let ledger = Ledger::read(&statistics)?;
    let finished: u64 = tasks.iter().filter_map(|task| task["steps_finished"].as_u64()).sum();
    println!("\n{} orders in {seconds:.1} s", tasks.len());
    print_kinds(tasks, batch);
    println!();
    ledger.print(seconds);
    println!();
    let wrong = cross_check(tasks, batch, &ledger, finished);
    if wrong.is_empty() {
        println!(
            "Every order is accounted for exactly once: {} orders, {finished} finished steps,",
            tasks.len()
        );
        println!(
            "{} completed attempts in the ledger, no order lost, none doubled, none ended otherwise than it must.",
            ledger.completed()
        );
        return Ok(());
    }
    Err(format!("the books do not balance:\n  {}", wrong.join("\n  ")))
}

fn print_kinds(tasks: &[Value], batch: &Batch) {
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for task in tasks {
        let key = task["idempotency_key"].as_str().unwrap_or_default();
        let kind = batch.expected.get(key).map_or("unknown", |(kind, _)| *kind);
        *kinds.entry((task["state"].as_str().unwrap_or("unknown"), kind)).or_default() += 1;
    }
    println!("  {:<12} {:<24} {:>7}", "ended", "order", "tasks");
    for ((state, kind), count) in kinds {
        println!("  {state:<12} {kind:<24} {count:>7}");
    }
}

/// What the ledger says of every step of the template.
struct Ledger(Vec<Line>);

struct Line {
    step: String,
    completed: u64,
    failed: u64,
    lost: u64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Ledger {
    fn read(statistics: &Value) -> Outcome<Self> {
        let lines = statistics["steps"].as_array().ok_or("'task summary' printed no steps")?;
        let number = |line: &Value, field: &str| {
            line[field].as_u64().ok_or(format!("'task summary' printed no {field}"))
        };
        let lines = lines.iter().map(|line| {
            Ok(Line {
                step: line["step"].as_str().unwrap_or("?").to_owned(),
                completed: number(line, "completed")?,
                failed: number(line, "failed")?,
                lost: number(line, "lost")?,
                p50_ms: number(line, "p50_us")? as f64 / 1_000.0,
                p99_ms: number(line, "p99_us")? as f64 / 1_000.0,
            })
        });
        lines.collect::<Outcome<Vec<_>>>().map(Self)
    }

    fn completed(&self) -> u64 {
        self.0.iter().map(|line| line.completed).sum()
    }

    fn print(&self, seconds: f64) {
        println!(
            "  {:<20} {:>9} {:>9} {:>7} {:>6} {:>8} {:>8}",
            "step", "attempts", "completed", "failed", "lost", "p50 ms", "p99 ms"
        );
        let (mut attempts, mut failed) = (0, 0);
        for line in &self.0 {
            let all = line.completed + line.failed + line.lost;
            attempts += all;
            failed += line.failed + line.lost;
            let Line { step, completed, failed, lost, p50_ms, p99_ms } = line;
            println!(
                "  {step:<20} {all:>9} {completed:>9} {failed:>7} {lost:>6} {p50_ms:>8.2} {p99_ms:>8.2}"
            );
        }
        println!(
            "  {attempts} attempts, {failed} of them failed; {:.0} steps/s",
            self.completed() as f64 / seconds
        );
    }
}

/// Everything that does not balance, in sentences.
fn cross_check(tasks: &[Value], batch: &Batch, ledger: &Ledger, finished: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for task in tasks {
        let key = task["idempotency_key"].as_str().unwrap_or_default();
        *seen.entry(key).or_default() += 1;
        let state = task["state"].as_str().unwrap_or("unknown");
        match batch.expected.get(key) {
            None => wrong.push(format!("a task for '{key}', which nobody ordered")),
            Some((_, true)) if state == "complete" => {}
            Some((_, false)) if state == "error" => {}
            Some((kind, _)) => wrong.push(format!("order {key} ({kind}) ended as {state}")),
        }
    }
    wrong.extend(
        seen.iter()
            .filter(|(_, count)| **count > 1)
            .map(|(key, count)| format!("order {key} has {count} tasks")),
    );
    let missing = batch.expected.keys().filter(|id| !seen.contains_key(id.as_str()));
    wrong.extend(missing.map(|id| format!("order {id} has no task")));
    if ledger.completed() != finished {
        wrong.push(format!("{finished} steps finished, but {} attempts completed", ledger.completed()));
    }
    wrong
}
