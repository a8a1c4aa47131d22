//! Every limit of a step in one table. Its values come from the options themselves: an option that the table does not have does
//! not compile.

use std::fmt::Write as _;
use std::time::Duration;

use crate::compiler::{Compiler, CompilerProcess};
use crate::egress::EgressOptions;
use crate::engine::EngineOptions;
use crate::files::ENTRIES_MAX;

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitInfo {
    /// Its name, as failures and logs give it.
    pub name: &'static str,
    /// What it counts: `bytes`, `ms`, or things.
    pub unit: &'static str,
    /// Over what it is counted: `attempt`, `call`, `component`, `connection`, `process`.
    pub scope: &'static str,
    /// The setting that changes it, if one does.
    pub setting: Option<&'static str>,
    /// The key of a grant's `limits` that changes it for one plugin, if one does.
    pub grant: Option<&'static str>,
    /// What happens there.
    pub what: &'static str,
}

/// Every limit.
// A table: one line each.
#[rustfmt::skip]
pub const LIMITS: &[LimitInfo] = &[
    limit("memory_bytes", "bytes", "attempt", "linear memory, all modules together; beyond it the guest's request for memory fails").set("sandbox.memory").grants("memory"),
    limit("memory_ceiling", "bytes", "attempt", "the most memory that a template or a grant can ask for").set("sandbox.memory_ceiling"),
    limit("cpu", "ms", "attempt", "CPU time; then the guest is ended").set("sandbox.cpu").grants("cpu"),
    limit("tick", "ms", "process", "how often a busy guest lets others run, and how exact the CPU limit is"),
    limit("stack_bytes", "bytes", "attempt", "the guest's stack; beyond it the guest traps"),
    limit("table_elements", "elements", "attempt", "elements of all tables together"),
    limit("core_instances", "instances", "component", "core module instances; a component with more is refused"),
    limit("memories", "memories", "component", "linear memories; a component with more is refused"),
    limit("tables", "tables", "component", "tables; a component with more is refused"),
    limit("output_bytes", "bytes", "attempt", "the output's or the error's JSON text").set("sandbox.output").grants("output"),
    limit("transfer_bytes", "bytes", "call", "what one call hands from the guest to the host"),
    limit("host_call_bytes", "bytes", "attempt", "what the calls of log, progress, secret, settings and random numbers hand over together").set("sandbox.host_call_bytes_max"),
    limit("host_calls", "calls", "attempt", "such calls").set("sandbox.host_calls_max"),
    limit("handles", "handles", "attempt", "streams, files, requests and other resources that a guest holds at the same time"),
    limit("random_bytes", "bytes", "call", "random bytes of one call"),
    limit("log_bytes", "bytes", "attempt", "the log's own lines, and again what is printed; the rest is counted and dropped").set("sandbox.log_bytes_max"),
    limit("log_lines", "lines", "attempt", "the log's own lines").set("sandbox.log_lines_max"),
    limit("file_bytes_max", "bytes", "attempt", "bytes written into granted directories; the attempt's own directory has the limit that its grant names").set("sandbox.file_bytes_max"),
    limit("file_entries_max", "entries", "attempt", "files, directories and links created"),
    limit("cancel_grace", "ms", "attempt", "how long a guest that was told to stop may go on"),
    limit("slots", "attempts", "process", "attempts that hold an instance at the same time").set("worker.slots"),
    limit("component_bytes", "bytes", "component", "the file; a larger one is refused").set("sandbox.component_bytes_max"),
    limit("compile_cpu", "ms", "component", "CPU time of compiling it, in a process of its own; beyond it the component is refused").set("sandbox.compile_time"),
    limit("compile_wall", "ms", "component", "the same by the clock: ten times the CPU time and a minute; beyond it compiling breaks off").set("sandbox.compile_time"),
    limit("compile_memory", "bytes", "component", "address space of that process; beyond it the component is refused").set("sandbox.compile_memory"),
    limit("plugins_loaded", "plugins", "process", "compiled plugins kept in memory"),
    limit("describe", "ms", "call", "CPU time of 'describe' at registration; four times as long by the clock"),
    limit("http_connect", "ms", "connection", "looking up, connecting and TLS together, and waiting for a free place").set("sandbox.http_connect"),
    limit("http_first_byte", "ms", "connection", "from sending a request to the response's headers").set("sandbox.http_first_byte"),
    limit("http_between_bytes", "ms", "connection", "a pause within a response").set("sandbox.http_between_bytes"),
    limit("http_bytes_in_max", "bytes", "attempt", "bodies of responses together").set("sandbox.http_bytes_in_max").grants("http_bytes_in"),
    limit("http_bytes_out_max", "bytes", "attempt", "bodies of requests together").set("sandbox.http_bytes_out_max").grants("http_bytes_out"),
    limit("http_header_bytes_max", "bytes", "call", "headers of one request or response"),
    limit("http_calls_max", "requests", "attempt", "requests, denied ones included").set("sandbox.http_calls_max").grants("http_calls"),
    limit("http_connections_max", "requests", "attempt", "requests at the same time, until their responses are read").set("sandbox.http_connections_max").grants("http_connections"),
    limit("http_connections_process_max", "requests", "process", "requests of all attempts at the same time").set("sandbox.http_connections_process_max"),
];

const fn limit(name: &'static str, unit: &'static str, scope: &'static str, what: &'static str) -> LimitInfo {
    LimitInfo { name, unit, scope, setting: None, grant: None, what }
}

impl LimitInfo {
    const fn set(self, setting: &'static str) -> Self {
        Self { setting: Some(setting), ..self }
    }

    const fn grants(self, grant: &'static str) -> Self {
        Self { grant: Some(grant), ..self }
    }
}

/// The name and value of each of [`LIMITS`] under these options, in its order.
pub fn values(engine: &EngineOptions, egress: &EgressOptions) -> Vec<(&'static str, u64)> {
    let mut values = of_engine(engine).to_vec();
    values.extend(of_egress(egress));
    values
}

fn of_engine(options: &EngineOptions) -> [(&'static str, u64); 27] {
    // Without `..`: an option that is not used below does not compile.
    let EngineOptions {
        slots,
        memory_bytes_max,
        memory_bytes_ceiling,
        cpu_max,
        tick,
        stack_bytes_max,
        table_elements_max,
        core_instances_max,
        memories_max,
        tables_max,
        transfer_bytes_max,
        host_call_bytes_max,
        host_calls_max,
        file_bytes_max,
        handles_max,
        output_bytes_max,
        log_bytes_max,
        log_lines_max,
        random_bytes_max,
        cancel_grace,
        component_bytes_max,
        plugins_loaded_max,
        describe_max,
        compiler,
    } = options;
    let (compile_cpu, compile_wall, compile_memory) = of_compiler(compiler);
    [
        ("memory_bytes", *memory_bytes_max),
        ("memory_ceiling", *memory_bytes_ceiling),
        ("cpu", ms(*cpu_max)),
        ("tick", ms(*tick)),
        ("stack_bytes", size(*stack_bytes_max)),
        ("table_elements", u64::from(*table_elements_max)),
        ("core_instances", u64::from(*core_instances_max)),
        ("memories", u64::from(*memories_max)),
        ("tables", u64::from(*tables_max)),
        ("output_bytes", *output_bytes_max),
        ("transfer_bytes", size(*transfer_bytes_max)),
        ("host_call_bytes", *host_call_bytes_max),
        ("host_calls", *host_calls_max),
        ("handles", size(*handles_max)),
        ("random_bytes", *random_bytes_max),
        ("log_bytes", size(*log_bytes_max)),
        ("log_lines", size(*log_lines_max)),
        ("file_bytes_max", *file_bytes_max),
        ("file_entries_max", u64::from(ENTRIES_MAX)),
        ("cancel_grace", ms(*cancel_grace)),
        ("slots", u64::from(*slots)),
        ("component_bytes", size(*component_bytes_max)),
        ("compile_cpu", ms(compile_cpu)),
        ("compile_wall", ms(compile_wall)),
        ("compile_memory", compile_memory),
        ("plugins_loaded", size(*plugins_loaded_max)),
        ("describe", ms(*describe_max)),
    ]
}

/// CPU time, wall clock and memory of one compilation.
fn of_compiler(compiler: &Compiler) -> (Duration, Duration, u64) {
    match compiler {
        Compiler::Process(CompilerProcess { cpu_max, wall_max, memory_bytes_max, .. }) => {
            (*cpu_max, *wall_max, *memory_bytes_max)
        }
        // Only what is known beforehand is compiled without limits; a host always has these.
        Compiler::InProcess => {
            let cpu_max = CompilerProcess::CPU_MAX;
            (cpu_max, CompilerProcess::wall_for(cpu_max), CompilerProcess::MEMORY_BYTES_MAX)
        }
    }
}

fn of_egress(options: &EgressOptions) -> [(&'static str, u64); 9] {
    let EgressOptions {
        connect_max,
        first_byte_max,
        between_bytes_max,
        bytes_in_max,
        bytes_out_max,
        header_bytes_max,
        calls_max,
        connections_max,
        connections_process_max,
    } = options;
    [
        ("http_connect", ms(*connect_max)),
        ("http_first_byte", ms(*first_byte_max)),
        ("http_between_bytes", ms(*between_bytes_max)),
        ("http_bytes_in_max", *bytes_in_max),
        ("http_bytes_out_max", *bytes_out_max),
        ("http_header_bytes_max", size(*header_bytes_max)),
        ("http_calls_max", u64::from(*calls_max)),
        ("http_connections_max", u64::from(*connections_max)),
        ("http_connections_process_max", u64::from(*connections_process_max)),
    ]
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn size(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The reference of all limits with their defaults: `docs/reference/limits.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Limits of a step\n\n\
         Every limit with its default. This file is printed by the code and tested to equal it; see `limit_table.rs`.\n\
         A *setting* changes a limit for all plugins, the key of a *grant's* `limits` for one plugin; a template's limits for\n\
         memory, CPU and output count where they are lower. A limit that ends a step names itself in the failure; one that only\n\
         stops a request or a write is named in the step's log.\n\n\
         | limit | default | counted over | setting | grant | what |\n|---|---|---|---|---|---|\n",
    );
    let values = values(&EngineOptions::default(), &EgressOptions::default());
    for (limit, (_, value)) in LIMITS.iter().zip(values) {
        let LimitInfo { name, unit, scope, setting, grant, what } = *limit;
        let key = |key: Option<&str>| key.map_or_else(String::new, |key| format!("`{key}`"));
        let (setting, grant) = (key(setting), key(grant));
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "| `{name}` | {} | {scope} | {setting} | {grant} | {what} |", amount(value, unit));
    }
    text
}

/// A number with its unit, in the largest unit that divides it.
fn amount(value: u64, unit: &str) -> String {
    match unit {
        "bytes" if value >= 1 << 30 && value.is_multiple_of(1 << 30) => format!("{} GiB", value >> 30),
        "bytes" if value >= 1 << 20 && value.is_multiple_of(1 << 20) => format!("{} MiB", value >> 20),
        "bytes" if value >= 1 << 10 && value.is_multiple_of(1 << 10) => format!("{} KiB", value >> 10),
        "ms" if value >= 1_000 && value.is_multiple_of(1_000) => format!("{} s", value / 1_000),
        unit => format!("{value} {unit}"),
    }
}
