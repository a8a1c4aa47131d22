//! From the way a run ended to the outcome that the step is given. Every limit has its own name here.

use std::time::Duration;

use serde::Serialize;
use stepwright_workflow::{Failure, FailureClass, Outcome, Payload};
use wasmtime::component::ResourceTableError;
use wasmtime::{FrameInfo, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use crate::bindings::StepError;
use crate::cache::LoadError;
use crate::call::HostBroken;
use crate::compiler::CompileError;
use crate::files::NoDirectory;
use crate::journal::cut;
use crate::limits::{Hit, Limits};
use crate::meter::Ended;
use crate::state::{HostCallFlood, Stopped};

/// The longest message of a failure, in bytes: a sentence for a person, not a report.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// The longest code, in bytes.
const CODE_BYTES_MAX: usize = 128;
/// How much of stderr's end stands in the message itself, in bytes; the details have more.
const PRINTED_BYTES_MAX: usize = 512;
/// The code that a plugin gives for a handler that it does not have.
const UNKNOWN_HANDLER: &str = "unknown_handler";

/// What is known of a run that has ended, beside its result.
pub(crate) struct Circumstances<'a> {
    pub(crate) limits: &'a Limits,
    /// The CPU time that was used.
    pub(crate) cpu: Duration,
    /// The time since the start.
    pub(crate) wall: Duration,
    /// Whether the step was told to stop before it ended.
    pub(crate) cancelled: bool,
    /// Which limit the epoch's callback enforced, if it did.
    pub(crate) stopped: Option<Stopped>,
    /// The memory or table limit that was reached, if one was.
    pub(crate) hit: Option<Hit>,
    /// The end of what was printed to stderr.
    pub(crate) stderr_tail: &'a str,
}

/// The outcome of an attempt. `Err` only where the host itself has failed.
pub(crate) fn outcome(
    ended: Ended<Result<String, StepError>>,
    it: &Circumstances<'_>,
) -> Result<Outcome, HostBroken> {
    let error = match ended {
        Ended::Returned(Ok(text)) => match output(text, it.limits.output_bytes) {
            Ok(output) => return Ok(Outcome::Completed { output }),
            Err(error) => error,
        },
        Ended::Returned(Err(error)) => told_by_the_guest(error, it),
        Ended::WallClock => wall_clock(it),
        Ended::Cancelled => cancelled(),
        Ended::Failed(error) => failure(&error, it)?,
    };
    Ok(Outcome::Failed { error })
}

/// What an attempt that was never started, or was ended by its caller, has to say.
pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureClass::Cancelled, "the attempt was told to stop")
}

/// Why a plugin cannot be run.
pub(crate) fn unavailable(error: &LoadError) -> Failure {
    use stepwright_registry::FolderError;
    // What does not compile or link today does not tomorrow either.
    let (code, retryable) = match error {
        LoadError::Folder(FolderError::Missing(_)) | LoadError::NotFetched { .. } => ("plugin_missing", true),
        LoadError::Folder(FolderError::Corrupt { .. }) | LoadError::Mistaken { .. } => {
            ("plugin_corrupt", true)
        }
        LoadError::Untrusted(_) => ("plugin_untrusted", false),
        LoadError::Folder(FolderError::Io { .. }) | LoadError::BrokeOff(_) => ("plugin_unreadable", true),
        LoadError::Compile(CompileError::Limit { .. }) => ("plugin_compile_limit", false),
        LoadError::NotAdmitted(_) | LoadError::Compile(_) | LoadError::Code(_) => ("plugin_invalid", false),
        LoadError::Link(_) => ("plugin_interface", false),
    };
    let message = cut(error.to_string(), MESSAGE_BYTES_MAX);
    Failure { retryable, ..Failure::new(FailureClass::PluginUnavailable, message).with_code(code) }
}

/// The attempt cannot begin: a directory that it was granted is not there. Another worker may have it.
pub(crate) fn no_directory(error: &NoDirectory) -> Failure {
    let failure = Failure::new(FailureClass::PluginUnavailable, cut(error.to_string(), MESSAGE_BYTES_MAX));
    failure.with_code("granted_directory")
}

/// Why a run gave no result at all.
pub(crate) fn failure(error: &wasmtime::Error, it: &Circumstances<'_>) -> Result<Failure, HostBroken> {
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return Err(HostBroken::Exhausted(full.to_string()));
    }
    Ok(match it.stopped {
        Some(Stopped::Cpu) => cpu(it),
        Some(Stopped::WallClock) => wall_clock(it),
        None => trap(error, it),
    })
}

fn output(text: String, max: u64) -> Result<Payload, Failure> {
    let bytes = text.len() as u64;
    if bytes > max {
        return Err(too_large("output_bytes", format!("the output has {bytes} bytes, the limit is {max}")));
    }
    Payload::parse(text).map_err(|error| {
        Failure::new(FailureClass::InvalidOutput, format!("the output is not acceptable JSON: {error}"))
            .with_code("output_json")
    })
}

fn told_by_the_guest(error: StepError, it: &Circumstances<'_>) -> Failure {
    let (mut class, message, code, details, retry_after_ms) = match error {
        StepError::Retryable(it) => {
            (FailureClass::Retryable, it.message, it.code, it.details, it.retry_after_ms)
        }
        StepError::Permanent(it) => (FailureClass::Permanent, it.message, it.code, it.details, None),
    };
    let bytes = message.len() as u64 + details.as_ref().map_or(0, |details| details.len() as u64);
    if bytes > it.limits.output_bytes {
        let max = it.limits.output_bytes;
        return too_large("output_bytes", format!("the error has {bytes} bytes, the limit is {max}"));
    }
    let code = code.map(|code| cut(code, CODE_BYTES_MAX));
    if code.as_deref() == Some(UNKNOWN_HANDLER) {
        // Pinned by digest: the plugin will never have it.
        class = FailureClass::PluginUnavailable;
    } else if it.cancelled {
        class = FailureClass::Cancelled;
    }
    Failure {
        class,
        code,
        message: cut(message, MESSAGE_BYTES_MAX),
        // Details that are no JSON are kept as the text that they are.
        details: details.and_then(|text| Payload::parse(text.as_str()).or_else(|_| Payload::of(&text)).ok()),
        retry_after_ms,
        retryable: class == FailureClass::Retryable,
    }
}

pub(crate) fn wall_clock(it: &Circumstances<'_>) -> Failure {
    let (max, used, cpu) = (it.limits.wall.as_millis(), it.wall.as_millis(), it.cpu.as_millis());
    Failure::new(
        FailureClass::Timeout,
        format!(
            "the step ran out of time: its timeout is {max} ms, it took {used} ms, of which {cpu} ms CPU"
        ),
    )
    .with_code("wall_clock")
}

fn cpu(it: &Circumstances<'_>) -> Failure {
    let (max, used, wall) = (it.limits.cpu.as_millis(), it.cpu.as_millis(), it.wall.as_millis());
    Failure::new(
        FailureClass::Timeout,
        format!("the step used up its CPU time: the limit is {max} ms, it used {used} ms within {wall} ms"),
    )
    .with_code("cpu")
}

fn too_large(code: &str, message: String) -> Failure {
    Failure::new(FailureClass::OutputTooLarge, message).with_code(code)
}

/// Everything that ends a guest at once: its own traps, and the host's refusals.
fn trap(error: &wasmtime::Error, it: &Circumstances<'_>) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    if let Some(flood) = error.downcast_ref::<HostCallFlood>() {
        return too_large(flood.limit, flood.to_string());
    }
    if let Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig) = error.downcast_ref() {
        let message = "the guest made more HTTP headers than the sandbox lets through";
        return too_large("http_header_bytes", message.to_owned());
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return died(
            format!("the guest exited with status {} before it returned", exit.0),
            "exit",
            error,
            it,
        );
    }
    // These two have no public type; tests notice when a newer wasmtime words them differently.
    let text = error.root_cause().to_string();
    if text.contains("fuel allocated for hostcalls") {
        let message = "the guest handed over more data in one call than the sandbox lets through";
        return too_large("transfer_bytes", message.to_owned());
    }
    let full = matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full));
    if full || text.contains("store handle limit exceeded") {
        return died("the guest holds more handles than the sandbox allows".to_owned(), "handles", error, it);
    }
    if trap == Some(&Trap::StackOverflow) {
        return died("the guest's stack is exhausted".to_owned(), "stack_overflow", error, it);
    }
    if let Some(hit) = it.hit {
        return out_of_memory(hit, error, it);
    }
    if error.is::<std::str::Utf8Error>() {
        let message = format!("the guest handed over text that is not UTF-8: {text}");
        return Failure::new(FailureClass::InvalidOutput, message).with_code("output_utf8");
    }
    match trap {
        Some(trap) => died(format!("the guest trapped: {}", trap_text(*trap)), &snake_case(*trap), error, it),
        None => died(format!("the guest broke the interface: {text}"), "interface", error, it),
    }
}

fn out_of_memory(hit: Hit, error: &wasmtime::Error, it: &Circumstances<'_>) -> Failure {
    let Hit { limit, max, used, wanted } = hit;
    let unit = if limit == "memory_bytes" { "bytes of memory" } else { "table elements" };
    let message = format!("the guest wanted {wanted} more {unit} with {used} in use, the limit is {max}");
    Failure { class: FailureClass::Memory, ..died(message, limit, error, it) }
}

/// What helps the author of a guest that died.
#[derive(Serialize)]
struct Remains<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    stderr: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backtrace: Vec<&'a str>,
}

fn died(mut message: String, code: &str, error: &wasmtime::Error, it: &Circumstances<'_>) -> Failure {
    if !it.stderr_tail.is_empty() {
        message.push_str("; it printed: ");
        message.push_str(&last_words(it.stderr_tail));
    }
    let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
    let names = frames.iter().map(FrameInfo::func_name);
    // Components that are built for use have no names, and then a row of marks says nothing.
    let backtrace: Vec<_> = if names.clone().any(|name| name.is_some()) {
        names.map(|name| name.unwrap_or("?")).collect()
    } else {
        Vec::new()
    };
    let remains = Remains { stderr: it.stderr_tail, backtrace };
    let empty = remains.stderr.is_empty() && remains.backtrace.is_empty();
    let details = if empty { None } else { Payload::of(&remains).ok() };
    Failure { details, ..Failure::new(FailureClass::Trap, cut(message, MESSAGE_BYTES_MAX)).with_code(code) }
}

/// The end of stderr as one line, without the advice that Rust adds to each panic.
fn last_words(tail: &str) -> String {
    let lines =
        tail.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: run with"));
    let words = lines.collect::<Vec<_>>().join(" ");
    let surplus = words.len().saturating_sub(PRINTED_BYTES_MAX);
    words[words.ceil_char_boundary(surplus)..].to_owned()
}

fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

/// `MemoryOutOfBounds` as `memory_out_of_bounds`.
fn snake_case(trap: Trap) -> String {
    let mut code = String::new();
    for letter in format!("{trap:?}").chars() {
        if letter.is_ascii_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(letter.to_ascii_lowercase());
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_have_readable_codes() {
        assert_eq!(snake_case(Trap::MemoryOutOfBounds), "memory_out_of_bounds");
        assert_eq!(trap_text(Trap::IntegerDivisionByZero), "integer divide by zero");
    }

    #[test]
    fn last_words_are_one_line() {
        let tail =
            "\nthread 'main' panicked at src/lib.rs:5:9:\nboom\nnote: run with `RUST_BACKTRACE=1` to see\n";
        assert_eq!(last_words(tail), "thread 'main' panicked at src/lib.rs:5:9: boom");
        assert_eq!(last_words(&"ä".repeat(1_000)).len(), PRINTED_BYTES_MAX);
    }
}
