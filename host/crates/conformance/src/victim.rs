//! A process that dies while it runs a guest. No guest is known that kills its host, so this double does what one would do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use stepwright_executor::{Control, EngineOptions, Executor as _, HostBroken, Sandbox, StepReport};
use stepwright_registry::PluginFolder;

use crate::attack::Step;
use crate::corpus::{guest_of, wrapped};
use crate::ground::{call, executor, tightened};
use crate::run::StartError;

/// What starts a process that calls [`die_of_a_guest`] with its working directory.
#[derive(Debug, Clone)]
pub struct Victim {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Victim {
    /// Starts it in a folder and waits for its end.
    pub(crate) fn run(&self, home: &Path) -> std::io::Result<ExitStatus> {
        let Self { program, arguments } = self;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    }
}

/// Says that it runs, and runs for ever.
const BODY: &str = r#"
(import "stepwright:step/host@0.1.0" (instance $host
  (export "progress" (func (param "fraction" f64) (param "note" string)))))
(core func $progress (canon lower (func $host "progress") (memory (core memory $std "memory"))))
(core module $m
  (import "host" "progress" (func $progress (param f64 i32 i32)))
  (func (export "handle") (param i32) (result i32)
    (call $progress (f64.const 0.5) (i32.const 0) (i32.const 0))
    (loop (br 0))
    (unreachable)))
(core instance $i (instantiate $m (with "host" (instance (export "progress" (func $progress))))))
"#;

/// Runs a guest, and aborts the process as soon as the guest says that it runs. Returns only if it could not get so far.
pub fn die_of_a_guest(home: &Path, options: &EngineOptions) -> Result<(), StartError> {
    // A dump of a worker holds what its steps knew.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
        .map_err(|error| StartError::Folder(error.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(StartError::Runtime)?;
    let sandbox = Sandbox::start(tightened(options))?;
    let executor = executor(home, &sandbox).map_err(StartError::Folder)?;
    let plugins = PluginFolder::open(&home.join("plugins")).map_err(StartError::Folder)?;
    let bytes = wrapped(&format!("{BODY}{}", guest_of(&[("handle", "$i")]))).map_err(StartError::Honest)?;
    let digest = plugins.put(&bytes).map_err(|error| StartError::Honest(error.to_string()))?;
    let step = call(&Step::text("honest"), digest).map_err(StartError::Honest)?;
    let control = Control::default();
    let watched = control.clone();
    let report = runtime.block_on(async move {
        tokio::select! {
            report = executor.execute(step, control) => report,
            never = abort_once_it_runs(watched) => never,
        }
    });
    Err(StartError::Honest(format!("the guest that was to die of ended by itself: {report:?}")))
}

async fn abort_once_it_runs(control: Control) -> Result<StepReport, HostBroken> {
    while control.take_progress().is_none() {
        tokio::task::yield_now().await;
    }
    std::process::abort()
}
