//! The compiler's own process: it takes one question and one component, and gives code or a refusal.

use std::io::{self, BufRead, BufReader, Read, Write};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use wasmtime::{Engine, OutOfMemory};

use super::{Answer, Question};
use crate::engine;

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: u64 = 4 << 10;

/// Answers the one question that stands on `input`, and uses no more than it says. To be called by a process of its own, before
/// it has started any thread: its limits are for good.
pub fn serve(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    (&mut input).take(QUESTION_BYTES_MAX).read_until(b'\n', &mut line)?;
    let question: Question = serde_json::from_slice(&line)?;
    limit(&question)?;
    let mut component = Vec::new();
    (&mut input).take(question.component_bytes).read_to_end(&mut component)?;
    if component.len() as u64 != question.component_bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the component is incomplete"));
    }
    let engine = engine(&question)?;
    let (answer, code) = match engine.precompile_component(&component) {
        Ok(code) => (Answer::Code { bytes: code.len() as u64 }, code),
        Err(error) if error.is::<OutOfMemory>() => (Answer::OutOfMemory, Vec::new()),
        Err(error) => (Answer::Refused { reason: format!("{error:#}") }, Vec::new()),
    };
    serde_json::to_writer(&mut output, &answer)?;
    output.write_all(b"\n")?;
    output.write_all(&code)?;
    output.flush()
}

fn limit(question: &Question) -> io::Result<()> {
    // It ends with the host, which may be ended at any time.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let cpu = question.cpu_seconds_max;
    let limits = [
        (Resource::Cpu, cpu, cpu.saturating_add(1)),
        (Resource::As, question.memory_bytes_max, question.memory_bytes_max),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        // A stricter limit that is there already stays.
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let (soft, hard) = (soft.min(most), hard.min(most));
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?;
    }
    Ok(())
}

fn engine(question: &Question) -> io::Result<Engine> {
    let engine = engine::compiling(question.memory_bytes_ceiling, &question.identity);
    let engine = engine.map_err(|error| io::Error::other(format!("{error:#}")))?;
    engine.ok_or_else(|| io::Error::other("this build makes other code than the host that asks"))
}
