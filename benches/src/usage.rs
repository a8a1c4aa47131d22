//! What processes used, from `/proc` (proc(5)).

use std::fs;
use std::time::Duration;

/// Ticks per second in `/proc`: `USER_HZ`, which is 100 on every Linux.
const USER_HZ: u64 = 100;

/// CPU time of a process so far, user and system, all its threads.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    Ok(of_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?))
}

fn of_stat(text: &str) -> Duration {
    // The name in parentheses may hold anything; the fields that count come after it.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / USER_HZ)
}

/// CPU time so far of those threads of a process whose names begin so.
pub(crate) fn cpu_of_threads(pid: u32, name: &str) -> anyhow::Result<Duration> {
    let mut spent = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that ends meanwhile is left out.
        let Ok(text) = fs::read_to_string(thread?.path().join("stat")) else { continue };
        if text.split_once('(').is_some_and(|(_, rest)| rest.starts_with(name)) {
            spent += of_stat(&text);
        }
    }
    Ok(spent)
}

/// Proportional memory of a process in bytes: shared pages count by share.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0);
    Ok(kib * 1_024)
}

/// Open descriptors of a process. Images of the memories of loaded plugins are not counted: they stay as long as the plugin.
pub(crate) fn descriptors(pid: u32) -> anyhow::Result<usize> {
    let targets =
        fs::read_dir(format!("/proc/{pid}/fd"))?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(targets.filter(|target| !target.to_string_lossy().contains("wasm-memory-image")).count())
}
