//! Runs steps as WebAssembly components: a fresh instance for every attempt, thrown away after it.
//!
//! ```text
//! execute ─▶ slot ─▶ plugin by digest ─▶ store, limits armed ─▶ instantiate ─▶ handle ─▶ verdict
//!              └────── told to stop meanwhile: cancelled ──────┘   └─ CPU, clock, cancel ─┘
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stepwright_registry::Description;
use stepwright_workflow::{Clock, Digest, Failure, Outcome, Timestamp};
use wasmtime::Store;

use crate::bindings::{ParentOutput, StepContext, StepError, Tag};
use crate::cache::{CacheCounts, LoadError, Plugins, Ready};
use crate::call::{Control, Executor, HostBroken, Receipt, StepCall, StepReport};
use crate::compiled::CompiledFolder;
use crate::components::{Components, Trust};
use crate::egress::Egress;
use crate::files::Scratch;
use crate::grants::GrantBook;
use crate::inspect::{self, Refusal};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::meter::{Ended, bounded};
use crate::reach::{Asker, Outside};
use crate::redact::Redactor;
use crate::sandbox::Sandbox;
use crate::state::StepState;
use crate::verdict::{self, Circumstances};
use crate::wanted::Observations;

/// The executor of the real world. Clones share sandbox and plugins; each may have grants and a way out of its own.
#[derive(Clone)]
pub struct WasmExecutor {
    sandbox: Arc<Sandbox>,
    plugins: Arc<Plugins>,
    outside: Arc<Outside>,
    clock: Arc<dyn Clock>,
}

impl WasmExecutor {
    /// An executor that takes components from where they are and keeps their compiled code in `compiled`.
    pub fn new(
        sandbox: Arc<Sandbox>,
        components: impl Into<Components>,
        compiled: CompiledFolder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::trusting(sandbox, (components.into(), Trust::Off), compiled, clock)
    }

    /// One that runs only what it may trust.
    pub fn trusting(
        sandbox: Arc<Sandbox>,
        (components, trust): (Components, Trust),
        compiled: CompiledFolder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let plugins = Arc::new(Plugins::new(Arc::clone(&sandbox), components, compiled, trust));
        Self { sandbox, plugins, outside: Arc::default(), clock }
    }

    /// Grants what the book says. Without it, nothing is granted.
    #[must_use]
    pub fn with_grants(mut self, book: GrantBook) -> Self {
        Arc::make_mut(&mut self.outside).book = Arc::new(book);
        self
    }

    /// Sends HTTP requests this way.
    #[must_use]
    pub fn with_egress(mut self, egress: Egress) -> Self {
        Arc::make_mut(&mut self.outside).egress = Arc::new(egress);
        self
    }

    /// Makes the directories that belong to one attempt here, and removes what processes left there that are gone. Otherwise they
    /// are made in the system's directory for temporary files.
    pub fn with_scratch(mut self, base: &Path) -> io::Result<Self> {
        Arc::make_mut(&mut self.outside).scratch = Arc::new(Scratch::open(base)?);
        Ok(self)
    }

    /// Notes what plugins ask for beyond their grants, and lets requests to public hosts through meanwhile.
    #[must_use]
    pub fn observing(mut self, observations: Arc<Observations>) -> Self {
        Arc::make_mut(&mut self.outside).observations = Some(observations);
        self
    }

    /// HTTP requests that could be under way beside those that are.
    pub fn connections_free(&self) -> usize {
        self.outside.egress.connections_free()
    }

    /// Loads a plugin ahead of its first step, or says why it cannot be run.
    pub async fn warm(&self, digest: Digest) -> Result<(), Failure> {
        self.plugins.get(digest).await.map(|_| ()).map_err(|error| verdict::unavailable(&error))
    }

    /// Takes a component that is in no folder, to be run under its digest: for whoever tries things. Says why if it cannot be run.
    pub async fn hold(&self, component: Vec<u8>) -> Result<Digest, Failure> {
        self.plugins.hold(component).await.map_err(|error| verdict::unavailable(&error))
    }

    /// What a component says of itself, as it is asked at registration.
    pub async fn describe(&self, digest: Digest) -> Result<Description, Refusal> {
        let plugin = self.plugins.get(digest).await.map_err(|error| inspect::refusal(&error))?;
        inspect::describe(&self.sandbox, &plugin).await
    }

    /// How often plugins were found ready, loaded, refused or compiled.
    pub fn cache_counts(&self) -> CacheCounts {
        self.plugins.counts()
    }

    /// Slots that no step holds.
    pub fn slots_free(&self) -> usize {
        self.sandbox.slots_free()
    }

    /// Waits for a slot's plugin, unless the attempt is told to stop first.
    async fn load(&self, call: &StepCall, control: &Control) -> Option<Result<Ready, LoadError>> {
        let load = async {
            let ready = self.plugins.get(call.digest).await?;
            self.plugins.trust(&call.plugin, call.digest).await?;
            Ok(ready)
        };
        tokio::select! {
            biased;
            loaded = load => Some(loaded),
            () = control.cancelled() => None,
        }
    }

    async fn attempt(
        &self,
        plugin: Ready,
        mut call: StepCall,
        control: Control,
    ) -> Result<StepReport, HostBroken> {
        let options = self.sandbox.options();
        let grants = self.outside.book.find(&call.plugin, &call.plugin_version, &call.namespace);
        let limits = Limits::granted(options, &call.limits, &grants.limits, call.timeout);
        let redactor = Redactor::of(&grants);
        let (plugin_name, outside) = (std::mem::take(&mut call.plugin), Arc::clone(&self.outside));
        let asker = |journal: Journal| Asker { plugin: plugin_name, grants, outside, journal };
        let started_at = self.clock.now();
        let deadline_ms = u64::try_from(started_at.after(call.timeout).0).unwrap_or(0);
        // Declared before the store, and so dropped after it, whatever happens in between.
        let (state, own) = match StepState::granted(options, &limits, control.clone(), asker) {
            Ok(granted) => granted,
            Err(error) => return Ok(never_started(started_at, verdict::no_directory(&error))),
        };
        let (mut store, meter) = self.sandbox.arm(&limits, state);
        let run = handle(&plugin, &mut store, &call, deadline_ms);
        let ended = bounded(&meter, limits.wall, (&control, options.cancel_grace), run).await;

        let (cpu, wall, state) = (meter.cpu(), meter.wall(), store.data());
        let log = state.journal.take();
        let ended = match (&redactor, ended) {
            (Some(redactor), Ended::Returned(Err(error))) => Ended::Returned(Err(redactor.error(error))),
            (_, ended) => ended,
        };
        let outcome = verdict::outcome(
            ended,
            &Circumstances {
                limits: &limits,
                cpu,
                wall,
                cancelled: control.is_cancelled(),
                stopped: state.stopped,
                hit: state.limiter.hit(),
                stderr_tail: &log.stderr_tail,
            },
        )?;
        let outcome = match &redactor {
            Some(redactor) => redactor.outcome(outcome),
            None => outcome,
        };
        let (http_calls, http_bytes_out, http_bytes_in) = state.reach.http_used();
        let receipt = Receipt {
            cpu_us: micros(cpu),
            memory_bytes_peak: state.limiter.memory_bytes_peak(),
            bytes_in: bytes_in(&call),
            bytes_out: bytes_out(&outcome),
            host_calls: state.host_calls,
            http_calls,
            http_bytes_out,
            http_bytes_in,
            file_bytes_written: state.files.written(),
            log_dropped: log.dropped,
        };
        drop(store);
        if let Some(own) = own {
            own.remove().await;
        }
        Ok(StepReport { outcome, started_at, wall, receipt, log: log.lines })
    }
}

#[async_trait]
impl Executor for WasmExecutor {
    async fn execute(&self, call: StepCall, control: Control) -> Result<StepReport, HostBroken> {
        if control.is_cancelled() {
            return Ok(never_started(self.clock.now(), verdict::cancelled()));
        }
        let _slot = tokio::select! {
            biased;
            slot = self.sandbox.slot() => slot?,
            () = control.cancelled() => return Ok(never_started(self.clock.now(), verdict::cancelled())),
        };
        // The step's clock starts once its plugin is there: a slow disk or a first compilation is not its fault.
        match self.load(&call, &control).await {
            Some(Ok(plugin)) => self.attempt(plugin, call, control).await,
            Some(Err(error)) => Ok(never_started(self.clock.now(), verdict::unavailable(&error))),
            None => Ok(never_started(self.clock.now(), verdict::cancelled())),
        }
    }
}

/// Instantiates the plugin and calls its handler. The payloads are borrowed: they are copied once, into the guest.
async fn handle(
    plugin: &Ready,
    store: &mut Store<StepState>,
    call: &StepCall,
    deadline_ms: u64,
) -> wasmtime::Result<Result<String, StepError>> {
    let task_id = call.task.to_string();
    let parents: Vec<_> = call
        .parents
        .iter()
        .map(|parent| ParentOutput { step: &parent.step, output: parent.output.as_str() })
        .collect();
    let tags: Vec<_> = call.tags.iter().map(|(key, value)| Tag { key, value }).collect();
    let context = StepContext {
        task_id: &task_id,
        step_name: &call.step_name,
        attempt: call.attempt,
        retry_limit: call.retry_limit,
        idempotency_key: &call.idempotency_key,
        deadline_ms,
        task_context: call.context.as_str(),
        config: call.config.as_str(),
        parents: &parents,
        tags: &tags,
    };
    let instance = plugin.instantiate_async(&mut *store).await?;
    instance.stepwright_step_handler().call_handle(store, &call.handler, context).await
}

/// The report of an attempt that no guest code saw.
fn never_started(now: Timestamp, error: Failure) -> StepReport {
    StepReport {
        outcome: Outcome::Failed { error },
        started_at: now,
        wall: Duration::ZERO,
        receipt: Receipt::default(),
        log: Vec::new(),
    }
}

fn bytes_in(call: &StepCall) -> u64 {
    let parents: usize = call.parents.iter().map(|parent| parent.output.bytes()).sum();
    (call.context.bytes() + call.config.bytes() + parents) as u64
}

fn bytes_out(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Completed { output } => output.bytes() as u64,
        Outcome::Failed { error } => error.details.as_ref().map_or(0, |details| details.bytes() as u64),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
