//! Plays schedules of the simulator until the time is over, and says what it found.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepwright_tests::sim::{Report, Sabotage, play};

const USAGE: &str = "usage: simulate [--seed S] [--minutes M | --schedules N] [--story]

  --seed S       the first seed; the following schedules have the following ones (default 1)
  --minutes M    play for so long (default 1)
  --schedules N  play so many instead
  --story        play the seed alone, and print everything that happened, and the logs of the parts";

struct Wanted {
    seed: u64,
    time: Duration,
    schedules: u64,
    story: bool,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { seed: 1, time: Duration::from_secs(60), schedules: u64::MAX, story: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--seed" => wanted.seed = value(&flag, arguments.next())?,
            "--minutes" => {
                let minutes: f64 = value(&flag, arguments.next())?;
                wanted.time = Duration::try_from_secs_f64(minutes * 60.0)
                    .map_err(|error| format!("--minutes {minutes}: {error}"))?;
            }
            "--schedules" => {
                (wanted.schedules, wanted.time) = (value(&flag, arguments.next())?, Duration::MAX);
            }
            "--story" => wanted.story = true,
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    Ok(wanted)
}

fn value<T: std::str::FromStr>(flag: &str, text: Option<String>) -> Result<T, String> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| format!("{flag} takes a number, not '{text}'"))
}

fn main() -> ExitCode {
    match wanted() {
        Ok(wanted) if wanted.story => story(wanted.seed),
        Ok(wanted) => search(&wanted),
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn story(seed: u64) -> ExitCode {
    // What the parts themselves say goes to the other stream, as it happens.
    tracing_subscriber::fmt().without_time().with_writer(std::io::stderr).init();
    let report = play(seed, Sabotage::None);
    for line in &report.story {
        println!("{line}");
    }
    println!("fingerprint {:016x}", report.fingerprint);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Sum {
    schedules: u64,
    tasks: usize,
    steps: usize,
    faults: BTreeMap<&'static str, u64>,
    failed: Option<Report>,
}

fn search(wanted: &Wanted) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && began.elapsed() < wanted.time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= wanted.schedules {
                        return;
                    }
                    let report = play(wanted.seed.wrapping_add(number), Sabotage::None);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.schedules += 1;
                    sum.tasks += report.tasks;
                    sum.steps += report.steps;
                    for (fault, count) in &report.faults {
                        *sum.faults.entry(fault).or_default() += count;
                    }
                    if !report.violations.is_empty() {
                        stop.store(true, Ordering::Relaxed);
                        sum.failed.get_or_insert(report);
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let faults: u64 = sum.faults.values().sum();
    println!(
        "{} schedules in {:.1} s: {} tasks, {} steps finished well, {faults} faults",
        sum.schedules,
        began.elapsed().as_secs_f64(),
        sum.tasks,
        sum.steps
    );
    for (fault, count) in &sum.faults {
        println!("  {count:>9}  {fault}");
    }
    let Some(report) = sum.failed else {
        println!("nothing lost, nothing twice, nothing stuck");
        return ExitCode::SUCCESS;
    };
    for line in report.story.iter().rev().take(60).rev() {
        println!("{line}");
    }
    for violation in &report.violations {
        println!("VIOLATED with seed {}: {violation}", report.seed);
    }
    println!("once more, in full: cargo xtask simulate --seed {} --story", report.seed);
    ExitCode::FAILURE
}
