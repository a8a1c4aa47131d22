//! The floor of every step: a fresh store, an instance, one call, and the drop, with the sandbox's own engine and limits, and
//! nothing else. Benchmarks compare with it.

use std::sync::Arc;

use stepwright_workflow::StepLimits;

use crate::bindings::StepContext;
use crate::call::Control;
use crate::compiled;
use crate::compiler::Code;
use crate::limits::Limits;
use crate::sandbox::Sandbox;

/// One linked component.
pub struct Bare {
    sandbox: Arc<Sandbox>,
    plugin: crate::cache::Ready,
}

/// A component's code, as the sandbox's compiler has made it.
pub struct BareCode(Code);

impl BareCode {
    /// Compiles a component, with the compiler that the sandbox has.
    pub fn compile(sandbox: &Sandbox, bytes: &[u8]) -> Result<Self, String> {
        crate::cache::compile(sandbox, bytes).map(Self).map_err(|error| error.to_string())
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.bytes().len()
    }

    /// Loads the code and forgets it.
    pub fn load(&self, sandbox: &Sandbox) -> Result<(), String> {
        compiled::load(&sandbox.engine, &self.0).map(drop).map_err(|error| format!("{error:#}"))
    }
}

impl Bare {
    /// Compiles and links a component.
    pub fn new(sandbox: Arc<Sandbox>, bytes: &[u8]) -> Result<Self, String> {
        let code = BareCode::compile(&sandbox, bytes)?;
        Self::of(sandbox, &code)
    }

    /// Loads and links a component.
    pub fn of(sandbox: Arc<Sandbox>, code: &BareCode) -> Result<Self, String> {
        let component = compiled::load(&sandbox.engine, &code.0).map_err(|error| format!("{error:#}"))?;
        let plugin = sandbox.link(&component).map_err(|error| format!("{error:#}"))?;
        Ok(Self { sandbox, plugin })
    }

    /// Calls a handler once in a fresh instance; the text is the output or the error.
    pub async fn call(&self, handler: &str, task_context: &str) -> Result<String, String> {
        let options = self.sandbox.options();
        let limits = Limits::of(options, &StepLimits::default(), options.cpu_max);
        let (mut store, _meter) = self.sandbox.store(&limits, Control::default());
        let context = StepContext {
            task_id: "1",
            step_name: "bare",
            attempt: 1,
            retry_limit: 1,
            idempotency_key: "task/1/bare",
            deadline_ms: 0,
            task_context,
            config: "{}",
            parents: &[],
            tags: &[],
        };
        let called = async {
            let instance = self.plugin.instantiate_async(&mut store).await?;
            instance.stepwright_step_handler().call_handle(&mut store, handler, context).await
        };
        match called.await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(format!("{error:?}")),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}
