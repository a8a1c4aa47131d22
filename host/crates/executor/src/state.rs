//! What a store carries for one attempt, and what the guest's own imports do to it.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::bindings::{host, log, types};
use crate::call::Control;
use crate::engine::EngineOptions;
use crate::journal::{Journal, Stream, cut};
use crate::limits::{Limiter, Limits};
use crate::output::Printer;

/// The longest note of a progress mark, in bytes.
const NOTE_BYTES_MAX: usize = 1 << 10;

/// The host's side of one instance.
pub(crate) struct StepState {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) journal: Journal,
    control: Control,
    pub(crate) host_calls: u64,
    host_call_bytes: u64,
    host_call_bytes_max: u64,
    /// Why the epoch's callback ended the guest, if it did.
    pub(crate) stopped: Option<Stopped>,
}

/// Which limit ended a guest that would not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Cpu,
    WallClock,
}

/// The guest handed over more than its share. Ends the guest like a trap.
#[derive(Debug, thiserror::Error)]
#[error("the calls to the host handed over {used} bytes, the limit is {max}")]
pub(crate) struct HostCallFlood {
    pub(crate) used: u64,
    pub(crate) max: u64,
}

impl StepState {
    pub(crate) fn new(options: &EngineOptions, limits: &Limits, control: Control) -> Self {
        let journal = Journal::new(options);
        let mut table = ResourceTable::new();
        table.set_max_capacity(options.handles_max);
        Self {
            wasi: nothing_granted(options, &journal),
            table,
            limiter: Limiter::new(limits),
            journal,
            control,
            host_calls: 0,
            host_call_bytes: 0,
            host_call_bytes_max: options.host_call_bytes_max,
            stopped: None,
        }
    }

    fn count(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.host_calls += 1;
        self.host_call_bytes += bytes as u64;
        if self.host_call_bytes > self.host_call_bytes_max {
            let (used, max) = (self.host_call_bytes, self.host_call_bytes_max);
            return Err(HostCallFlood { used, max }.into());
        }
        Ok(())
    }
}

/// No directory, no environment, no arguments, no network, nothing to read. Clocks and a little randomness are there.
fn nothing_granted(options: &EngineOptions, journal: &Journal) -> WasiCtx {
    let printer = |stream| Printer { journal: journal.clone(), stream };
    WasiCtxBuilder::new()
        .stdout(printer(Stream::Stdout))
        .stderr(printer(Stream::Stderr))
        .max_random_size(options.random_bytes_max)
        .build()
}

impl WasiView for StepState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for StepState {}

impl log::Host for StepState {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<log::Field>) -> wasmtime::Result<()> {
        self.count(
            message.len() + fields.iter().map(|field| field.key.len() + field.value.len()).sum::<usize>(),
        )?;
        let level = match level {
            log::Level::Trace => "trace",
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        self.journal.write(
            level,
            message,
            fields.into_iter().map(|field| (field.key, field.value)).collect(),
        );
        Ok(())
    }
}

impl host::Host for StepState {
    fn progress(&mut self, fraction: f64, note: String) -> wasmtime::Result<()> {
        self.count(note.len())?;
        self.control.progress(fraction, cut(note, NOTE_BYTES_MAX));
        Ok(())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        self.count(0)?;
        Ok(self.control.is_cancelled())
    }

    fn secret(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count(name.len())?;
        Ok(None)
    }
}
