//! An executor with grants around the fixture that uses them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepwright_executor::grants::{HttpGrant, PluginPattern, SecretGrant, SecretValue};
use stepwright_executor::{
    CompiledFolder, Control, EngineOptions, Executor as _, GrantBook, GrantEntry, Grants, Outcome, Sandbox,
    StepCall, StepReport, WasmExecutor,
};
use stepwright_registry::PluginFolder;
use stepwright_workflow::{Digest, Failure, Payload, StepLimits, TaskId};

use crate::{StillClock, guest};

/// The executor, and where its scratch directories are.
pub(crate) struct Reach {
    pub(crate) home: tempfile::TempDir,
    pub(crate) executor: Arc<WasmExecutor>,
    digest: Digest,
}

impl Reach {
    /// With these grants for the fixture.
    pub(crate) fn new(grants: Grants) -> Self {
        Self::with(EngineOptions::default(), grants, |executor| executor)
    }

    /// The same, with an executor that is changed further.
    pub(crate) fn with(
        options: EngineOptions,
        grants: Grants,
        change: impl FnOnce(WasmExecutor) -> WasmExecutor,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(EngineOptions { slots: 4, ..options }).unwrap();
        // Compiled once for all tests, which may be processes of their own.
        let shared = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = PluginFolder::open(&shared.join("plugins")).unwrap();
        let digest = folder.put(&guest("reach")).unwrap();
        let compiled = CompiledFolder::open(&shared.join("compiled"), 1 << 30).unwrap();
        let plugins = PluginPattern { namespace: Some("fixtures".to_owned()), ..PluginPattern::default() };
        let book = GrantBook::new(vec![GrantEntry { plugins, namespace: None, grants }]);
        let executor = WasmExecutor::new(sandbox, folder, compiled, Arc::new(StillClock))
            .with_grants(book)
            .with_scratch(&home.path().join("scratch"))
            .unwrap();
        Self { home, executor: Arc::new(change(executor)), digest }
    }

    pub(crate) fn call(&self, handler: &str, context: &Value) -> StepCall {
        StepCall {
            task: TaskId(42),
            step_name: "step".to_owned(),
            attempt: 1,
            retry_limit: 1,
            idempotency_key: "task/42/step".to_owned(),
            plugin: "fixtures/reach".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            namespace: "tests".to_owned(),
            digest: self.digest,
            handler: handler.to_owned(),
            timeout: Duration::from_secs(60),
            limits: StepLimits::default(),
            context: Payload::of(context).unwrap(),
            config: Payload::null(),
            parents: Vec::new(),
            tags: Vec::new(),
        }
    }

    pub(crate) async fn run(&self, handler: &str, context: Value) -> StepReport {
        self.executor.execute(self.call(handler, &context), Control::default()).await.unwrap()
    }

    /// Sends requests and returns what became of each, with the step's log and receipt.
    pub(crate) async fn fetch(&self, requests: Value) -> (Vec<Value>, StepReport) {
        let report = self.run("fetch", json!({ "requests": requests })).await;
        (answers(&report), report)
    }

    /// Does things with files below a directory.
    pub(crate) async fn files(&self, dir: &str, steps: Value) -> (Value, StepReport) {
        let report = self.run("files", json!({ "dir": dir, "steps": steps })).await;
        (output(&report), report)
    }
}

pub(crate) fn output(report: &StepReport) -> Value {
    match &report.outcome {
        Outcome::Completed { output } => serde_json::from_str(output.as_str()).unwrap(),
        Outcome::Failed { error } => panic!("it failed: {error}; {:?}", report.log),
    }
}

pub(crate) fn failed(report: &StepReport) -> &Failure {
    match &report.outcome {
        Outcome::Failed { error } => error,
        Outcome::Completed { output } => panic!("it completed with {output:?}"),
    }
}

pub(crate) fn answers(report: &StepReport) -> Vec<Value> {
    output(report).as_array().unwrap().clone()
}

/// The lines of the log that the host wrote.
pub(crate) fn warnings(report: &StepReport) -> Vec<&str> {
    report.log.iter().filter(|line| line.level == "warn").map(|line| line.message.as_str()).collect()
}

pub(crate) fn http(texts: &[&str]) -> Vec<HttpGrant> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn secret(name: &str, value: &str) -> SecretGrant {
    SecretGrant { name: name.to_owned(), value: SecretValue::new(value), revealed: false, hosts: Vec::new() }
}

/// Waits until something holds that another task brings about.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never came about");
}
