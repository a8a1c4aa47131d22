//! The figures, as a line for programs and a table for people.

use serde::Serialize;

use crate::floor::Floors;

/// The figures of one workload. Times are wall clock unless they say CPU.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) workload: &'static str,
    pub(crate) store: &'static str,
    /// Tasks that had finished in this database before.
    pub(crate) finished_before: usize,
    pub(crate) tasks: usize,
    pub(crate) steps: usize,
    pub(crate) in_flight: usize,
    /// From the first submit to the last observed end.
    pub(crate) seconds: f64,
    pub(crate) steps_per_s: f64,
    /// From a task's submit to its observed end.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU of the orchestrator, the load generator and the workers; not of a database server.
    pub(crate) cpu_ms_per_step: f64,
    /// The share of the worker processes in it.
    pub(crate) cpu_ms_per_step_workers: f64,
    /// Proportional memory of all processes at the end.
    pub(crate) rss_mb: f64,
    pub(crate) commits: u64,
    pub(crate) statements: u64,
    /// What the server wrote to its log of changes, its full pages after a checkpoint included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wal_bytes: Option<i64>,
    pub(crate) zmq_messages: u64,
    /// CPU per step over the CPU of a bare instantiate, call and drop.
    pub(crate) ratio_to_wasm_floor: f64,
    /// Time of the median task over one durable commit.
    pub(crate) ratio_to_commit_floor: f64,
}

/// Prints the table to stderr.
pub(crate) fn table(floors: &Floors, reports: &[Report]) {
    eprintln!();
    eprintln!(
        "floors: {:.1} us CPU per fresh instance and call; {:.0} durable commits/s ({:.2} ms each)",
        floors.wasm_call_us,
        floors.commits_per_s,
        1_000.0 / floors.commits_per_s
    );
    eprintln!(
        "{:<4} {:>7} {:>9} {:>9} {:>9} {:>12} {:>9} {:>9} {:>10} {:>8} {:>7}",
        "",
        "steps",
        "steps/s",
        "p50 ms",
        "p99 ms",
        "CPU ms/step",
        "(workers)",
        "commits",
        "statements",
        "messages",
        "x wasm"
    );
    for report in reports {
        eprintln!(
            "{:<4} {:>7} {:>9.0} {:>9.2} {:>9.2} {:>12.3} {:>9.3} {:>9} {:>10} {:>8} {:>7.1}",
            report.workload,
            report.steps,
            report.steps_per_s,
            report.p50_ms,
            report.p99_ms,
            report.cpu_ms_per_step,
            report.cpu_ms_per_step_workers,
            report.commits,
            report.statements,
            report.zmq_messages,
            report.ratio_to_wasm_floor
        );
    }
}
