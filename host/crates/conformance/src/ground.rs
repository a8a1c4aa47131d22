//! Where attacks are made: a sandbox, an executor and their folders, with limits tight enough that all of it takes seconds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{
    CompiledFolder, Control, Egress, EgressOptions, EngineOptions, Executor as _, GrantBook, GrantEntry,
    Grants, Inspection, Outcome, Refusal, Sandbox, StepCall, StepReport, WasmExecutor, inspect,
};
use stepwright_registry::PluginFolder;
use stepwright_workflow::{Clock, Digest, Payload, StepLimits, TaskId, Timestamp};

use crate::attack::{AMPLE, Step};
use crate::corpus::{Component, Corpus};
use crate::run::StartError;
use crate::victim::Victim;

/// The place of the attacks.
pub(crate) struct Ground {
    pub(crate) home: tempfile::TempDir,
    pub(crate) corpus: Corpus,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) executor: WasmExecutor,
    pub(crate) plugins: PluginFolder,
    pub(crate) victim: Victim,
}

/// Calls of one attempt to the host's own interfaces.
pub(crate) const HOST_CALLS_MAX: u64 = 100_000;

/// How often it is looked whether the connections of a step are closed, 5 ms apart: five seconds.
const CLOSING_LOOKS: u32 = 1_000;

/// What an attack is told of the time does not matter.
struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

/// The same engine with tight limits: what a limit is does not change how it is enforced, and a corpus under the usual ones would
/// take minutes and gigabytes.
pub fn tightened(options: &EngineOptions) -> EngineOptions {
    EngineOptions {
        slots: 4,
        memory_bytes_max: 16 << 20,
        memory_bytes_ceiling: 32 << 20,
        handles_max: 256,
        transfer_bytes_max: 1 << 20,
        host_call_bytes_max: 4 << 20,
        host_calls_max: HOST_CALLS_MAX,
        output_bytes_max: 64 << 10,
        log_bytes_max: 16 << 10,
        log_lines_max: 100,
        random_bytes_max: 64 << 10,
        component_bytes_max: 4 << 20,
        cancel_grace: Duration::from_millis(200),
        describe_max: Duration::from_millis(500),
        ..options.clone()
    }
}

/// Tight limits for what goes out. Those of time are ample: an attack that one of them is to end makes that one tight.
pub(crate) fn egress_options() -> EgressOptions {
    EgressOptions {
        connect_max: AMPLE,
        first_byte_max: AMPLE,
        between_bytes_max: AMPLE,
        bytes_in_max: 1 << 20,
        bytes_out_max: 1 << 20,
        header_bytes_max: 16 << 10,
        calls_max: 100,
        connections_max: 4,
        connections_process_max: 8,
    }
}

/// Connections close in their own time once the step has ended; one that does not is held.
async fn free_again(executor: &WasmExecutor, all: usize) -> usize {
    for _ in 0..CLOSING_LOOKS {
        if executor.connections_free() == all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    executor.connections_free()
}

/// Directories of attempts that nobody removed; that of the process goes with it.
fn left_in(scratch: &Path) -> std::io::Result<usize> {
    let mut left = 0;
    for process in std::fs::read_dir(scratch)? {
        let path = process?.path();
        if path.is_dir() {
            for entry in std::fs::read_dir(path)? {
                left += usize::from(entry?.file_type()?.is_dir());
            }
        }
    }
    Ok(left)
}

/// Opens the folders of a home and starts an executor on them.
pub(crate) fn executor(home: &Path, sandbox: &Arc<Sandbox>) -> std::io::Result<WasmExecutor> {
    let folder = PluginFolder::open(&home.join("plugins"))?;
    let compiled = CompiledFolder::open(&home.join("compiled"), 1 << 30)?;
    Ok(WasmExecutor::new(Arc::clone(sandbox), folder, compiled, Arc::new(StillClock)))
}

impl Ground {
    pub(crate) fn prepare(
        corpus: Corpus,
        victim: Victim,
        options: &EngineOptions,
    ) -> Result<Self, StartError> {
        let home = tempfile::Builder::new()
            .prefix("stepwright-conformance-")
            .tempdir()
            .map_err(StartError::Folder)?;
        let sandbox = Sandbox::start(tightened(options))?;
        let executor = executor(home.path(), &sandbox).map_err(StartError::Folder)?;
        let plugins = PluginFolder::open(&home.path().join("plugins")).map_err(StartError::Folder)?;
        Ok(Self { home, corpus, sandbox, executor, plugins, victim })
    }

    /// Puts a component where the executor finds it.
    pub(crate) fn put(&self, component: &Component) -> Result<Digest, String> {
        self.plugins.put(&self.corpus.bytes(component)?).map_err(|error| error.to_string())
    }

    /// Runs a step to its end.
    pub(crate) async fn execute(&self, step: &Step, control: Control) -> Result<StepReport, String> {
        let call = call(step, self.put(&step.component)?)?;
        self.executor.execute(call, control).await.map_err(|broken| format!("the host is broken: {broken}"))
    }

    /// Runs a step that is granted something.
    pub(crate) async fn execute_granted(&self, step: &Step, grants: Grants) -> Result<StepReport, String> {
        self.execute_outside(step, grants, Egress::new(egress_options())).await
    }

    /// Runs a step that is granted something, with a way out of its own. Everything is given back before this returns.
    pub(crate) async fn execute_outside(
        &self,
        step: &Step,
        grants: Grants,
        egress: Egress,
    ) -> Result<StepReport, String> {
        let failed = |error: std::io::Error| format!("failed to prepare the executor: {error}");
        let book = GrantBook::new(vec![GrantEntry { grants, ..GrantEntry::default() }]);
        let scratch = self.home.path().join("scratch");
        let executor = executor(self.home.path(), &self.sandbox).map_err(failed)?;
        let executor =
            executor.with_grants(book).with_egress(egress).with_scratch(&scratch).map_err(failed)?;
        let call = call(step, self.put(&step.component)?)?;
        let report = executor.execute(call, Control::default()).await;
        let all = egress_options().connections_process_max as usize;
        let places = free_again(&executor, all).await;
        drop(executor);
        let left = left_in(&scratch).map_err(failed)?;
        std::fs::remove_dir_all(&scratch).map_err(failed)?;
        let report = report.map_err(|broken| format!("the host is broken: {broken}"))?;
        match (places == all, left) {
            (true, 0) => Ok(report),
            _ => Err(format!(
                "{} connections are held, and {left} directories are left",
                all.saturating_sub(places)
            )),
        }
    }

    /// Looks at a file.
    pub(crate) async fn inspect(&self, bytes: Vec<u8>) -> Result<Inspection, Refusal> {
        inspect(&self.sandbox, bytes).await
    }

    /// Runs the honest step, which must complete.
    pub(crate) async fn honest(&self) -> Result<(), String> {
        let report = self.execute(&honest(), Control::default()).await?;
        match report.outcome {
            Outcome::Completed { output } if output.as_str() == "\"honest\"" => Ok(()),
            other => Err(format!("the honest step did not complete: {other:?}")),
        }
    }
}

/// The step that does what it should.
pub(crate) fn honest() -> Step {
    Step::text("honest")
}

/// The call of a step.
pub(crate) fn call(step: &Step, digest: Digest) -> Result<StepCall, String> {
    let payload = |text: &str| Payload::parse(text).map_err(|error| format!("the step's context: {error}"));
    Ok(StepCall {
        task: TaskId(1),
        step_name: "attack".to_owned(),
        attempt: 1,
        retry_limit: 1,
        idempotency_key: "task/1/attack".to_owned(),
        plugin: "fixtures/hostile".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        namespace: "conformance".to_owned(),
        digest,
        handler: step.handler.to_owned(),
        timeout: step.timeout,
        limits: StepLimits { ..step.limits },
        context: payload(&step.context)?,
        config: payload("{}")?,
        parents: Vec::new(),
        tags: Vec::new(),
    })
}
