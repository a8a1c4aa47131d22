//! Where attacks are made: a sandbox, an executor and their folders, with limits tight enough that all of it takes seconds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{
    CompiledFolder, Control, EngineOptions, Executor as _, Inspection, Outcome, Refusal, Sandbox, StepCall,
    StepReport, WasmExecutor, inspect,
};
use stepwright_registry::PluginFolder;
use stepwright_workflow::{Clock, Digest, Payload, StepLimits, TaskId, Timestamp};

use crate::attack::Step;
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
