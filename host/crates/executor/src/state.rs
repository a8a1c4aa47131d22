//! What a store carries for one attempt, and what the guest's own imports do to it.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::{host, log, store, types};
use crate::call::Control;
use crate::egress::EgressOptions;
use crate::engine::EngineOptions;
use crate::files::{Attempt, Files, NoDirectory};
use crate::journal::{Journal, Stream, cut};
use crate::limits::{Limiter, Limits};
use crate::output::Printer;
use crate::reach::{Asker, Reach, last_of_each};
use crate::redact::Redactor;

/// The longest note of a progress mark, in bytes.
const NOTE_BYTES_MAX: usize = 1 << 10;

/// The host's side of one instance.
pub(crate) struct StepState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    pub(crate) reach: Reach,
    pub(crate) files: Files,
    pub(crate) limiter: Limiter,
    pub(crate) journal: Journal,
    redactor: Option<Redactor>,
    control: Control,
    pub(crate) host_calls: u64,
    host_calls_max: u64,
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

/// The guest called the host too often, or handed over more than its share. Ends the guest like a trap.
#[derive(Debug, thiserror::Error)]
#[error("the calls to the host {what}: {used}, the limit is {max}")]
pub(crate) struct HostCallFlood {
    /// The limit's name, as it stands in a failure's code.
    pub(crate) limit: &'static str,
    what: &'static str,
    used: u64,
    max: u64,
}

/// The state of an attempt that may be granted something, and the directory that lives as long.
pub(crate) type Granted = (StepState, Option<Attempt>);

impl StepState {
    /// Nothing is granted.
    pub(crate) fn new(options: &EngineOptions, limits: &Limits, control: Control) -> Self {
        let journal = Journal::new(options);
        let wasi = nothing_granted(options, &journal).build();
        Self::with(options, limits, control, (wasi, journal))
    }

    /// What the grants name is there.
    pub(crate) fn granted(
        options: &EngineOptions,
        limits: &Limits,
        control: Control,
        asker: impl FnOnce(Journal) -> Asker,
    ) -> Result<Granted, NoDirectory> {
        let journal = Journal::new(options);
        let asker = asker(journal.clone());
        let redactor = Redactor::of(&asker.grants);
        let journal = if redactor.is_some() { journal.hiding(redactor.clone()) } else { journal };
        let mut wasi = nothing_granted(options, &journal);
        for (name, value) in last_of_each(&asker.grants.environment) {
            wasi.env(name, value);
        }
        let (files, own) = Files::open(&asker, &mut wasi, options.file_bytes_max)?;
        let header_bytes_max = asker.outside.egress.options.header_bytes_max;
        let mut state = Self::with(options, limits, control, (wasi.build(), journal));
        state.http.set_field_size_limit(header_memory_max(header_bytes_max));
        Ok((Self { reach: Reach::of(asker), files, redactor, ..state }, own))
    }

    fn with(
        options: &EngineOptions,
        limits: &Limits,
        control: Control,
        (wasi, journal): (WasiCtx, Journal),
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(options.handles_max);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(header_memory_max(EgressOptions::default().header_bytes_max));
        Self {
            wasi,
            http,
            table,
            reach: Reach::default(),
            files: Files::default(),
            limiter: Limiter::new(limits),
            journal,
            redactor: None,
            control,
            host_calls: 0,
            host_calls_max: options.host_calls_max,
            host_call_bytes: 0,
            host_call_bytes_max: options.host_call_bytes_max,
            stopped: None,
        }
    }

    /// Counts a call, and the bytes that were handed over with it.
    pub(crate) fn count(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.host_calls += 1;
        self.host_call_bytes += bytes as u64;
        if self.host_call_bytes > self.host_call_bytes_max {
            let (used, max) = (self.host_call_bytes, self.host_call_bytes_max);
            return Err(
                HostCallFlood { limit: "host_call_bytes", what: "handed over bytes", used, max }.into()
            );
        }
        if self.host_calls > self.host_calls_max {
            let (used, max) = (self.host_calls, self.host_calls_max);
            return Err(HostCallFlood { limit: "host_calls", what: "were many", used, max }.into());
        }
        Ok(())
    }
}

/// No directory, no environment, no arguments, no network, nothing to read. Clocks and a little randomness are there.
fn nothing_granted(options: &EngineOptions, journal: &Journal) -> WasiCtxBuilder {
    let printer = |stream| Printer { journal: journal.clone(), stream };
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(printer(Stream::Stdout))
        .stderr(printer(Stream::Stderr))
        .max_random_size(options.random_bytes_max);
    wasi
}

/// What headers of so many bytes take in memory, at most: the library counts its own structures in.
fn header_memory_max(header_bytes_max: usize) -> usize {
    header_bytes_max.saturating_mul(2)
}

impl WasiView for StepState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for StepState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.reach }
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
        let note = match &self.redactor {
            Some(redactor) => redactor.text(note),
            None => note,
        };
        self.control.progress(fraction, cut(note, NOTE_BYTES_MAX));
        Ok(())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        self.count(0)?;
        Ok(self.control.is_cancelled())
    }

    fn secret(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count(name.len())?;
        self.reach.secret(&name)
    }
}

impl store::Host for StepState {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        self.count(key.len())?;
        Ok(Ok(self.reach.setting(&key)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        let settings = self.reach.settings();
        self.count(settings.iter().map(|(key, value)| key.len() + value.len()).sum())?;
        Ok(Ok(settings))
    }
}
