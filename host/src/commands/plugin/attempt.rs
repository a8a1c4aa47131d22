//! One attempt without any server: a component in a sandbox of this process, and what the handler is told.

use std::time::Duration;

use stepwright_executor::{
    Control, Egress, Executor as _, GrantBook, LogLine, Outcome, ParentOutput, StepCall, StepReport,
    WasmExecutor,
};
use stepwright_workflow::{Digest, Payload, StepLimits, TaskId, chain};

use crate::commands::grants::own_namespace;
use crate::compose;
use crate::context::Context;
use crate::error::CliError;

/// What a template's steps have unless it says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// The same for failed attempts.
pub(super) const RETRY_LIMIT: u32 = 3;

/// What a handler is told about an attempt that belongs to no task.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) handler: String,
    pub(super) input: Payload,
    pub(super) config: Payload,
    pub(super) parents: Vec<ParentOutput>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) attempt: u32,
    pub(super) retry_limit: u32,
    pub(super) timeout: Duration,
}

/// A component, and who it is if it is registered.
pub(super) struct Subject {
    pub(super) component: Vec<u8>,
    /// Name and version.
    pub(super) registered: Option<(String, String)>,
}

/// Who a component is: what grants are for. The default is nobody, who has none but those for everybody.
#[derive(Debug, Clone, Default)]
pub(super) struct Bearer {
    plugin: String,
    version: String,
    namespace: String,
}

/// A component that can be called.
pub(super) struct Bench {
    executor: WasmExecutor,
    digest: Digest,
    bearer: Bearer,
}

impl Bench {
    /// Takes a component in, with room for so many calls at once. What was compiled before is not compiled again.
    pub(super) async fn start(component: Vec<u8>, slots: u32, context: &Context) -> Result<Self, CliError> {
        Self::of(compose::wasm_executor(context, slots)?, component).await
    }

    /// The same with an executor that is there already.
    pub(super) async fn of(executor: WasmExecutor, component: Vec<u8>) -> Result<Self, CliError> {
        let held = executor.hold(component).await;
        let digest =
            held.map_err(|failure| CliError::new(format!("this is no plugin: {}", failure.message)))?;
        Ok(Self { executor, digest, bearer: Bearer::default() })
    }

    /// The same component under its name: the one that it is registered under, or else its own. It has the grants that it would have
    /// in tasks whose template is in this namespace, or else in the plugin's own.
    pub(super) async fn named(
        self,
        registered: Option<(String, String)>,
        namespace: Option<&str>,
    ) -> Result<Self, CliError> {
        let (plugin, version) = match registered {
            Some(named) => named,
            None => {
                let described = self.executor.describe(self.digest).await;
                let described = described
                    .map_err(|refusal| CliError::new(format!("this is no plugin: {}", chain(&refusal))))?;
                (described.name, described.version)
            }
        };
        let namespace = namespace.unwrap_or_else(|| own_namespace(&plugin)).to_owned();
        Ok(Self { bearer: Bearer { plugin, version, namespace }, ..self })
    }

    /// The same component, with another way out and other grants.
    pub(super) fn within(&self, egress: Egress, grants: GrantBook) -> Self {
        let executor = self.executor.clone().with_egress(egress).with_grants(grants);
        Self { executor, digest: self.digest, bearer: self.bearer.clone() }
    }

    /// Which component it is.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Calls the handler once in a fresh instance.
    pub(super) async fn call(&self, told: &Told) -> Result<StepReport, CliError> {
        let Bearer { plugin, version, namespace } = self.bearer.clone();
        let Told { handler, input, config, parents, tags, attempt, retry_limit, timeout } = told.clone();
        let call = StepCall {
            task: TaskId(1),
            step_name: handler.clone(),
            attempt,
            retry_limit,
            idempotency_key: format!("task/1/{handler}"),
            plugin,
            plugin_version: version,
            namespace,
            digest: self.digest,
            handler,
            timeout,
            limits: StepLimits::default(),
            context: input,
            config,
            parents,
            tags,
        };
        Ok(self.executor.execute(call, Control::default()).await?)
    }
}

/// A line of a step's log, as people read it.
pub(super) fn line(LogLine { level, message, fields }: &LogLine) -> String {
    let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    format!("{level:<6} {message}{fields}")
}

/// How an attempt ended, in one line.
pub(super) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { output } => output.as_str().to_owned(),
        Outcome::Failed { error } => error.to_string(),
    }
}
