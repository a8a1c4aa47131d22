//! Compiling: seconds of work on bytes that somebody else wrote, so it is done in a process of its own, under limits.
//!
//! ```text
//!  host ── question, component ──▶ compiler process: limits on itself, then Cranelift
//!       ◀── code, or a refusal ───┘        └─ CPU, memory: the system ends it; wall clock: the host does
//! ```
//!
//! A component of 100 KB can take Cranelift minutes and gigabytes, and nothing interrupts it from within.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepwright_workflow::Digest;
use wasmtime::Engine;

use crate::compiled::identity;
use crate::engine::EngineOptions;

mod child;

pub use child::serve;

/// How long, and how often, a process is looked at that has closed its pipe and not ended yet.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 2_000;

/// The most code that is taken back, in bytes: sixteen times the largest component. JavaScript's 12 MB make 36.
const CODE_BYTES_MAX: u64 = 512 << 20;
/// How much of what the compiler complains of is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 8 << 10;
/// Threads of one compilation. Its address space is limited, and each takes some.
const THREADS_MAX: usize = 4;

/// One compilation at a time in each process, whoever wants it: the others wait, and steps keep their CPUs.
static COMPILING: Mutex<()> = Mutex::new(());

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// This process, without limits: for components that are known, as in tests and benchmarks.
    #[default]
    InProcess,
    /// A process for each component.
    Process(CompilerProcess),
}

/// How a compiler's process is started, and what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerProcess {
    /// A program that calls [`serve`].
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
    /// CPU time, over all its threads, in whole seconds.
    pub cpu_max: Duration,
    /// By the clock. Far more than the CPU time: a compiler that others keep from the CPU is no bomb.
    pub wall_max: Duration,
    /// Address space in bytes.
    pub memory_bytes_max: u64,
}

impl CompilerProcess {
    /// CPU time of one compilation. Python's 18 MB take 17 s.
    pub const CPU_MAX: Duration = Duration::from_secs(60);
    /// Address space of one compilation. Python's 18 MB take 350 MB of memory.
    pub const MEMORY_BYTES_MAX: u64 = 2 << 30;

    /// The clock's limit that goes with so much CPU time: on a machine where ten others want each CPU, and a minute for a bad one.
    pub fn wall_for(cpu_max: Duration) -> Duration {
        cpu_max.saturating_mul(10).saturating_add(Duration::from_secs(60))
    }
}

/// Code that this build's compiler has made just now. Nothing else is ever loaded, but what the host itself has kept of it.
#[derive(Debug)]
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// wasmtime does not take the component.
    #[error("the component does not compile: {0}")]
    Refused(String),
    /// It takes more than it may.
    #[error("the component could not be compiled within {limit}; if it is to be trusted, raise {setting}")]
    Limit {
        /// The limit with its value.
        limit: String,
        /// What sets it.
        setting: &'static str,
    },
    /// The compiler was not given its time, or was ended from outside.
    #[error("compiling the component broke off: {0}")]
    BrokeOff(String),
}

/// What a compiler's process is told, as one line of JSON before the component's bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    /// The engine whose code is wanted.
    identity: Digest,
    memory_bytes_ceiling: u64,
    component_bytes: u64,
    cpu_seconds_max: u64,
    memory_bytes_max: u64,
}

/// What it answers, as one line of JSON before the code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Code { bytes: u64 },
    Refused { reason: String },
    OutOfMemory,
}

impl Compiler {
    /// Compiles a component for an engine. Takes seconds for a large one.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        options: &EngineOptions,
        component: &[u8],
    ) -> Result<Code, CompileError> {
        match self {
            Self::InProcess => {
                let code = engine.precompile_component(component);
                code.map(Code).map_err(|error| CompileError::Refused(format!("{error:#}")))
            }
            Self::Process(process) => process.compile(engine, options, component),
        }
    }
}

impl CompilerProcess {
    fn compile(
        &self,
        engine: &Engine,
        options: &EngineOptions,
        component: &[u8],
    ) -> Result<Code, CompileError> {
        let question = Question {
            identity: identity(engine),
            memory_bytes_ceiling: options.memory_bytes_ceiling,
            component_bytes: component.len() as u64,
            cpu_seconds_max: self.cpu_seconds_max(),
            memory_bytes_max: self.memory_bytes_max,
        };
        let broken =
            |error: io::Error| CompileError::BrokeOff(format!("{}: {error}", self.program.display()));
        let mut line = serde_json::to_vec(&question).map_err(|error| broken(error.into()))?;
        line.push(b'\n');
        let only_one = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.run(&line, component).map_err(broken)?;
        drop(only_one);
        self.verdict(ended)
    }

    fn cpu_seconds_max(&self) -> u64 {
        let part = u64::from(self.cpu_max.subsec_nanos() > 0);
        (self.cpu_max.as_secs() + part).max(1)
    }

    /// Runs the process to its end, which comes with the last byte of its answer, or with the wall clock's limit.
    fn run(&self, line: &[u8], component: &[u8]) -> io::Result<Ended> {
        let mut child = self.start()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            end(&mut child)?;
            return Err(io::Error::other("its pipes are missing"));
        };
        let ended = std::thread::scope(|scope| {
            let (sender, answer) = mpsc::channel();
            let name = |name: &str| std::thread::Builder::new().name(name.to_owned());
            let asking = name("compile-ask").spawn_scoped(scope, || ask(stdin, line, component));
            let hearing = name("compile-hear").spawn_scoped(scope, move || sender.send(hear(stdout)));
            let complaint = name("compile-err").spawn_scoped(scope, || complaints(stderr));
            if let Err(error) = asking.and(hearing).map(drop) {
                end(&mut child)?;
                return Err(error);
            }
            let in_time = answer.recv_timeout(self.wall_max);
            let overdue = matches!(in_time, Err(mpsc::RecvTimeoutError::Timeout));
            let status = if overdue { end(&mut child)? } else { ended(&mut child)? };
            // Its end closes the pipe, so this does not wait for long.
            let answer = in_time.or_else(|_| answer.recv()).unwrap_or_default();
            let complaint = complaint?.join().unwrap_or_default();
            Ok(Ended { overdue, status, answer, complaint })
        })?;
        Ok(ended)
    }

    fn start(&self) -> io::Result<Child> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Command::new(&self.program)
            .args(&self.arguments)
            // Nothing of the host's environment, which may hold secrets.
            .env_clear()
            .env("RAYON_NUM_THREADS", cpus.min(THREADS_MAX).to_string())
            // Otherwise the allocator reserves address space for each thread.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn verdict(&self, ended: Ended) -> Result<Code, CompileError> {
        if ended.overdue {
            let (wall, cpu) = (self.wall_max.as_millis(), self.cpu_max.as_millis());
            let why = format!("it took more than {wall} ms of wall clock, with less than {cpu} ms of CPU");
            return Err(CompileError::BrokeOff(why));
        }
        match ended.status.signal() {
            None if ended.status.success() => self.answered(ended.answer),
            None => Err(CompileError::BrokeOff(ended.described())),
            Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() => {
                let limit = format!("{} s of CPU", self.cpu_seconds_max());
                Err(CompileError::Limit { limit, setting: "sandbox.compile_time" })
            }
            Some(_) if ended.complaint.contains("memory allocation of") => Err(self.out_of_memory()),
            Some(signal) if is_from_outside(signal) => Err(CompileError::BrokeOff(ended.described())),
            // It crashed, and would again: on its stack, or on a mistake in the compiler.
            Some(_) => Err(CompileError::Refused(ended.described())),
        }
    }

    fn out_of_memory(&self) -> CompileError {
        let limit = format!("{} bytes of memory", self.memory_bytes_max);
        CompileError::Limit { limit, setting: "sandbox.compile_memory" }
    }

    fn answered(&self, mut answer: Vec<u8>) -> Result<Code, CompileError> {
        let unreadable = || CompileError::BrokeOff("the compiler's answer is incomplete".to_owned());
        let end = answer.iter().position(|byte| *byte == b'\n').ok_or_else(unreadable)?;
        match serde_json::from_slice(answer.get(..end).unwrap_or_default()) {
            Ok(Answer::Code { bytes }) if bytes == (answer.len() - end - 1) as u64 => {
                answer.drain(..=end);
                Ok(Code(answer))
            }
            Ok(Answer::Refused { reason }) => Err(CompileError::Refused(reason)),
            Ok(Answer::OutOfMemory) => Err(self.out_of_memory()),
            _ => Err(unreadable()),
        }
    }
}

/// How a compiler's process ended.
struct Ended {
    overdue: bool,
    status: ExitStatus,
    answer: Vec<u8>,
    complaint: String,
}

impl Ended {
    fn described(&self) -> String {
        let complaint = self.complaint.trim();
        let end = format!("the compiler ended with {}", self.status);
        if complaint.is_empty() { end } else { format!("{end}: {complaint}") }
    }
}

/// Signals that an operator or the system sends, whatever the component.
fn is_from_outside(signal: i32) -> bool {
    use rustix::process::Signal;
    [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].iter().any(|outside| outside.as_raw() == signal)
}

/// How a process ended that has closed its pipe. That comes a moment before its end, and to end it in that moment would be to mistake
/// work that is done for work that broke off.
fn ended(child: &mut Child) -> io::Result<ExitStatus> {
    for _ in 0..LOOKS {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(LOOK);
    }
    end(child)
}

/// Ends the process if it has not ended, and takes it off the system's list.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

/// An error means that it has ended, and its end says more.
fn ask(mut stdin: ChildStdin, line: &[u8], component: &[u8]) {
    let _ = stdin.write_all(line).and_then(|()| stdin.write_all(component));
}

fn hear(stdout: ChildStdout) -> Vec<u8> {
    let mut answer = Vec::new();
    // What is incomplete for whatever reason does not have the length that it says.
    let _ = stdout.take(CODE_BYTES_MAX).read_to_end(&mut answer);
    answer
}

fn complaints(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(COMPLAINT_BYTES_MAX).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests;
