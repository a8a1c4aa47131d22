//! The sandbox as a whole: the engine, its ticker, what guests may import, and the slots.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::{filesystem, random};

use crate::bindings::{self, PluginPre};
use crate::call::{Control, HostBroken};
use crate::egress;
use crate::engine::{self, EngineOptions, StartError};
use crate::limits::Limits;
use crate::meter::Meter;
use crate::state::{StepState, Stopped};
use crate::ticker::Ticker;

/// Everything that guests share. One per process is enough; it stops its thread when it is dropped.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) options: EngineOptions,
    pub(crate) linker: Linker<StepState>,
    slots: Semaphore,
    _ticker: Ticker,
}

impl Sandbox {
    /// Starts the engine, its memory pool and its ticker thread.
    pub fn start(options: EngineOptions) -> Result<Arc<Self>, StartError> {
        let engine = engine::start(&options)?;
        let linker = offered(&engine).map_err(|error| StartError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone(), options.tick)?;
        let slots = Semaphore::new(options.slots as usize);
        Ok(Arc::new(Self { engine, options, linker, slots, _ticker: ticker }))
    }

    /// The options that it was started with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Slots that no step holds.
    pub fn slots_free(&self) -> usize {
        self.slots.available_permits()
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, HostBroken> {
        self.slots.acquire().await.map_err(|_| HostBroken::Exhausted("the sandbox is closing".to_owned()))
    }

    /// Fits a component to what guests may import, and finds its exports, with their types. No guest code runs.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<PluginPre<StepState>> {
        let plugin = PluginPre::new(self.linker.instantiate_pre(component)?)?;
        bindings::check_types(plugin.instance_pre())?;
        Ok(plugin)
    }

    /// A store to which nothing is granted.
    pub(crate) fn store(&self, limits: &Limits, control: Control) -> (Store<StepState>, Arc<Meter>) {
        self.arm(limits, StepState::new(&self.options, limits, control))
    }

    /// A store for one attempt, with every limit armed: instantiation runs guest code too.
    pub(crate) fn arm(&self, limits: &Limits, state: StepState) -> (Store<StepState>, Arc<Meter>) {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.options.transfer_bytes_max);
        store.set_max_component_handles(self.options.handles_max);
        let meter = Arc::new(Meter::start());
        let (hand, cpu, wall) = (Arc::clone(&meter), limits.cpu, limits.wall);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut store| {
            let stopped = if hand.cpu_within_poll() >= cpu {
                Stopped::Cpu
            } else if hand.wall() >= wall {
                Stopped::WallClock
            } else {
                // tokio's own yield puts the step behind the other tasks; wasmtime's plain yield would starve them.
                return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
            };
            store.data_mut().stopped = Some(stopped);
            Ok(UpdateDeadline::Interrupt)
        });
        (store, meter)
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Every interface is linked; what a step was not granted is denied by its context. A toolchain imports more than it uses.
fn offered(engine: &Engine) -> wasmtime::Result<Linker<StepState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    bindings::types::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    bindings::log::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    bindings::host::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    bindings::store::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    // These count and look before they call the library's own.
    linker.allow_shadowing(true);
    filesystem::types::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    filesystem::preopens::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    random::random::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    random::insecure::add_to_linker::<_, HasSelf<StepState>>(&mut linker, |state| state)?;
    egress::code::link(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}
