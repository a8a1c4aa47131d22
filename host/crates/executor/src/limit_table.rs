//! Every limit of a step in one table, made from the options themselves: an option without a line here does not compile.

use std::fmt::Write as _;
use std::time::Duration;

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
    /// Its value.
    pub value: u64,
    /// Over what it is counted: `attempt`, `call`, `component`, `connection`, `process`.
    pub scope: &'static str,
    /// The setting that changes it, if one does.
    pub setting: Option<&'static str>,
    /// The key of a grant's `limits` that changes it for one plugin, if one does.
    pub grant: Option<&'static str>,
    /// What happens there.
    pub what: &'static str,
}

/// Every limit, with the values of these options.
pub fn limits(engine: &EngineOptions, egress: &EgressOptions) -> Vec<LimitInfo> {
    let mut all = sandbox(engine);
    all.extend(network(egress));
    all
}

fn sandbox(options: &EngineOptions) -> Vec<LimitInfo> {
    // Without `..`: a new option must say here what it limits.
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
        compiler: _,
    } = options;
    vec![
        line("memory_bytes", "bytes", *memory_bytes_max, "attempt", "linear memory, all modules together; beyond it the guest's request for memory fails").set("sandbox.memory").grants("memory"),
        line("memory_ceiling", "bytes", *memory_bytes_ceiling, "attempt", "the most memory that a template or a grant can ask for").set("sandbox.memory_ceiling"),
        line("cpu", "ms", ms(*cpu_max), "attempt", "CPU time; then the guest is ended").set("sandbox.cpu").grants("cpu"),
        line("tick", "ms", ms(*tick), "process", "how often a busy guest lets others run, and how exact the CPU limit is"),
        line("stack_bytes", "bytes", size(*stack_bytes_max), "attempt", "the guest's stack; beyond it the guest traps"),
        line("table_elements", "elements", u64::from(*table_elements_max), "attempt", "elements of all tables together"),
        line("core_instances", "instances", u64::from(*core_instances_max), "component", "core module instances; a component with more is refused"),
        line("memories", "memories", u64::from(*memories_max), "component", "linear memories; a component with more is refused"),
        line("tables", "tables", u64::from(*tables_max), "component", "tables; a component with more is refused"),
        line("output_bytes", "bytes", *output_bytes_max, "attempt", "the output's or the error's JSON text").set("sandbox.output").grants("output"),
        line("transfer_bytes", "bytes", size(*transfer_bytes_max), "call", "what one call hands from the guest to the host"),
        line("host_call_bytes", "bytes", *host_call_bytes_max, "attempt", "what the calls of log, progress, secret, settings and random numbers hand over together").set("sandbox.host_call_bytes_max"),
        line("host_calls", "calls", *host_calls_max, "attempt", "such calls").set("sandbox.host_calls_max"),
        line("handles", "handles", size(*handles_max), "attempt", "streams, files, requests and other resources that a guest holds at the same time"),
        line("random_bytes", "bytes", *random_bytes_max, "call", "random bytes of one call"),
        line("log_bytes", "bytes", size(*log_bytes_max), "attempt", "the log's own lines, and again what is printed; the rest is counted and dropped").set("sandbox.log_bytes_max"),
        line("log_lines", "lines", size(*log_lines_max), "attempt", "the log's own lines").set("sandbox.log_lines_max"),
        line("file_bytes_max", "bytes", *file_bytes_max, "attempt", "bytes written into granted directories; the attempt's own directory has the limit that its grant names").set("sandbox.file_bytes_max"),
        line("file_entries_max", "entries", u64::from(ENTRIES_MAX), "attempt", "files, directories and links created"),
        line("cancel_grace", "ms", ms(*cancel_grace), "attempt", "how long a guest that was told to stop may go on"),
        line("slots", "attempts", u64::from(*slots), "process", "attempts that hold an instance at the same time").set("worker.slots"),
        line("component_bytes", "bytes", size(*component_bytes_max), "component", "the file; a larger one is refused").set("sandbox.component_bytes_max"),
        line("plugins_loaded", "plugins", size(*plugins_loaded_max), "process", "compiled plugins kept in memory"),
        line("describe", "ms", ms(*describe_max), "call", "how long 'describe' may take at registration"),
    ]
}

fn network(options: &EgressOptions) -> Vec<LimitInfo> {
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
    vec![
        line(
            "http_connect",
            "ms",
            ms(*connect_max),
            "connection",
            "looking up, connecting and TLS together, and waiting for a free place",
        )
        .set("sandbox.http_connect"),
        line(
            "http_first_byte",
            "ms",
            ms(*first_byte_max),
            "connection",
            "from sending a request to the response's headers",
        )
        .set("sandbox.http_first_byte"),
        line("http_between_bytes", "ms", ms(*between_bytes_max), "connection", "a pause within a response")
            .set("sandbox.http_between_bytes"),
        line("http_bytes_in_max", "bytes", *bytes_in_max, "attempt", "bodies of responses together")
            .set("sandbox.http_bytes_in_max")
            .grants("http_bytes_in"),
        line("http_bytes_out_max", "bytes", *bytes_out_max, "attempt", "bodies of requests together")
            .set("sandbox.http_bytes_out_max")
            .grants("http_bytes_out"),
        line(
            "http_header_bytes_max",
            "bytes",
            size(*header_bytes_max),
            "call",
            "headers of one request or response",
        ),
        line(
            "http_calls_max",
            "requests",
            u64::from(*calls_max),
            "attempt",
            "requests, denied ones included",
        )
        .set("sandbox.http_calls_max")
        .grants("http_calls"),
        line(
            "http_connections_max",
            "requests",
            u64::from(*connections_max),
            "attempt",
            "requests at the same time, until their responses are read",
        )
        .set("sandbox.http_connections_max")
        .grants("http_connections"),
        line(
            "http_connections_process_max",
            "requests",
            u64::from(*connections_process_max),
            "process",
            "requests of all attempts at the same time",
        )
        .set("sandbox.http_connections_process_max"),
    ]
}

fn line(
    name: &'static str,
    unit: &'static str,
    value: u64,
    scope: &'static str,
    what: &'static str,
) -> LimitInfo {
    LimitInfo { name, unit, value, scope, setting: None, grant: None, what }
}

impl LimitInfo {
    fn set(self, setting: &'static str) -> Self {
        Self { setting: Some(setting), ..self }
    }

    fn grants(self, grant: &'static str) -> Self {
        Self { grant: Some(grant), ..self }
    }
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
    for limit in limits(&EngineOptions::default(), &EgressOptions::default()) {
        let LimitInfo { name, unit, value, scope, setting, grant, what } = limit;
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
        "bytes" if value >= 1 << 20 && value % (1 << 20) == 0 => format!("{} MiB", value >> 20),
        "bytes" if value >= 1 << 10 && value % (1 << 10) == 0 => format!("{} KiB", value >> 10),
        "ms" if value >= 1_000 && value % 1_000 == 0 => format!("{} s", value / 1_000),
        unit => format!("{value} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_what_the_code_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/limits.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let printed = markdown();
        assert!(written == printed, "{path} differs from the code; it should be:\n{printed}");
    }

    #[test]
    fn names_are_unique_and_values_positive() {
        let all = limits(&EngineOptions::default(), &EgressOptions::default());
        for (at, limit) in all.iter().enumerate() {
            assert!(limit.value > 0, "{}", limit.name);
            assert!(all[..at].iter().all(|other| other.name != limit.name), "{}", limit.name);
        }
    }
}
