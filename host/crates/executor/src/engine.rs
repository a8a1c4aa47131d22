//! The options of the sandbox, each with its unit and the reason for its number, and the wasmtime engine made from them.

use std::time::Duration;

use stepwright_workflow::Digest;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::compiled::identity;
use crate::compiler::Compiler;

/// What bounds every step, and how many run at once. A template may ask for other memory, CPU and output limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Steps that hold an instance at the same time. Each costs address space at the start and, while a step waits, about
    /// 100 KB; 64 keep two to sixteen cores busy with steps that wait now and then.
    pub slots: u32,
    /// Linear memory of one step in bytes, all its modules together, unless the template says otherwise. A handler in Rust
    /// needs 1 to 2 MiB, one in Python 30 MiB.
    pub memory_bytes_max: u64,
    /// The most memory in bytes that a template may ask for. It is also the size of the pool's places for memories.
    pub memory_bytes_ceiling: u64,
    /// CPU time of one step unless the template says otherwise. Ten seconds are an eternity for glue code.
    pub cpu_max: Duration,
    /// The time between two epoch ticks: how often a busy guest lets others run, and how exact the CPU limit is. One tick of
    /// 10 ms costs one atomic increment.
    pub tick: Duration,
    /// The guest's stack in bytes. 512 KiB is wasmtime's own choice and enough for deep parsers.
    pub stack_bytes_max: usize,
    /// Table elements of one step, all its tables together. Python needs 5,700, Go 6,600, JavaScript 7,700.
    pub table_elements_max: u32,
    /// Core module instances of one component. Rust needs 4 to 6, the WASI adapters of other languages about 10.
    pub core_instances_max: u32,
    /// Linear memories of one component. QuickJS has three, nothing known has more.
    pub memories_max: u32,
    /// Tables of one component: one or two for each of its modules.
    pub tables_max: u32,
    /// Bytes that one call may hand from the guest to the host: an output, an error, the arguments of an import. Must lie
    /// above the output's limit, so that an output slightly too large is still told from a flood.
    pub transfer_bytes_max: usize,
    /// Bytes that all calls of the step's own imports (log, progress, secret) may hand over together. Lines beyond the log's
    /// limit are dropped, but copying them costs the host; 64 MiB is a thousand times the log.
    pub host_call_bytes_max: u64,
    /// Calls of the step's own imports (log, progress, cancelled, secret) and of settings and random numbers. Each costs the host
    /// about a microsecond; a million is a second of it.
    pub host_calls_max: u64,
    /// Bytes that one attempt may write into granted directories, all together. Its own directory has a limit of its own, which
    /// its grant names.
    pub file_bytes_max: u64,
    /// Handles to host resources, such as streams and pollables, that a step holds at the same time.
    pub handles_max: usize,
    /// The output's JSON text in bytes unless the template says otherwise. It travels in messages and rows.
    pub output_bytes_max: u64,
    /// Bytes of the step's own log lines that are kept, and again of what it prints.
    pub log_bytes_max: usize,
    /// The step's own log lines that are kept.
    pub log_lines_max: usize,
    /// Random bytes that one call may ask for: enough for any key, too little to flood the host.
    pub random_bytes_max: u64,
    /// How long a step that was told to stop may go on to tidy up and return.
    pub cancel_grace: Duration,
    /// The largest component in bytes that is compiled. Python's runtime makes 18 MB.
    pub component_bytes_max: usize,
    /// Compiled plugins kept in memory, the least recently used first to go. A Rust plugin takes 0.3 to 8 MB.
    pub plugins_loaded_max: usize,
    /// CPU time of `describe` when a plugin is inspected; four times as long by the clock.
    pub describe_max: Duration,
    /// Who compiles components.
    pub compiler: Compiler,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            slots: 64,
            memory_bytes_max: 64 << 20,
            memory_bytes_ceiling: 256 << 20,
            cpu_max: Duration::from_secs(10),
            tick: Duration::from_millis(10),
            stack_bytes_max: 512 << 10,
            table_elements_max: 20_000,
            core_instances_max: 32,
            memories_max: 4,
            tables_max: 16,
            transfer_bytes_max: 8 << 20,
            host_call_bytes_max: 64 << 20,
            host_calls_max: 1_000_000,
            file_bytes_max: 64 << 20,
            handles_max: 1_000,
            output_bytes_max: 1 << 20,
            log_bytes_max: 64 << 10,
            log_lines_max: 1_000,
            random_bytes_max: 64 << 10,
            cancel_grace: Duration::from_secs(1),
            component_bytes_max: 32 << 20,
            plugins_loaded_max: 64,
            describe_max: Duration::from_secs(2),
            compiler: Compiler::default(),
        }
    }
}

impl EngineOptions {
    /// What contradicts itself or cannot be, if anything.
    fn contradiction(&self) -> Option<String> {
        let positive = [
            ("slots", u64::from(self.slots)),
            ("tick", self.tick.as_nanos().try_into().unwrap_or(u64::MAX)),
            ("memories_max", u64::from(self.memories_max)),
            ("core_instances_max", u64::from(self.core_instances_max)),
            ("plugins_loaded_max", self.plugins_loaded_max as u64),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Some(format!("{name} must not be zero"));
        }
        if self.memory_bytes_max > self.memory_bytes_ceiling {
            let (usual, ceiling) = (self.memory_bytes_max, self.memory_bytes_ceiling);
            return Some(format!("memory_bytes_max {usual} lies above memory_bytes_ceiling {ceiling}"));
        }
        if self.memory_bytes_ceiling > MEMORY_RESERVATION_BYTES {
            return Some(format!("memory_bytes_ceiling {} lies above 4 GiB", self.memory_bytes_ceiling));
        }
        if self.output_bytes_max > self.transfer_bytes_max as u64 {
            let (output, transfer) = (self.output_bytes_max, self.transfer_bytes_max);
            return Some(format!("output_bytes_max {output} lies above transfer_bytes_max {transfer}"));
        }
        None
    }
}

/// Address space behind each memory. With 4 GiB, compiled code needs no bounds checks.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Stack for the host's functions on each fiber: what wasmtime leaves by default.
const HOST_STACK_BYTES: usize = 3 << 19;

/// What a reused place keeps mapped instead of giving it back to the system: saves the page faults of the next step. Only
/// worth it together with `PAGEMAP_SCAN`; without it, clearing these bytes costs more than the faults.
const MEMORY_KEPT_BYTES: usize = 1 << 20;
const TABLE_KEPT_BYTES: usize = 64 << 10;

/// Why the sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options contradict themselves.
    #[error("the sandbox options are wrong: {0}")]
    Options(String),
    /// wasmtime refuses to start, in words of its own.
    #[error("the sandbox does not start: {0}")]
    Engine(String),
    /// The operating system gives no thread.
    #[error("failed to start the sandbox's ticker thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How much the system can do for the pool; tried in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// Linux 6.7 or newer: places are cleared page by page and stay mapped. About 15 µs a step.
    Scanned,
    /// Older systems: places are given back after each step. About 37 µs a step.
    Plain,
    /// Little address space, as under `ulimit -v`: small reservations, and bounds checks in compiled code.
    Narrow,
}

/// Starts wasmtime with the best pool that the system allows.
pub(crate) fn start(options: &EngineOptions) -> Result<Engine, StartError> {
    if let Some(contradiction) = options.contradiction() {
        return Err(StartError::Options(contradiction));
    }
    let mut reasons = Vec::new();
    for pool in [Pool::Scanned, Pool::Plain, Pool::Narrow] {
        match Engine::new(&config(options, pool)) {
            Ok(engine) => {
                if let Some(reason) = reasons.last() {
                    tracing::warn!(?pool, reason, "the sandbox starts with a slower pool");
                }
                return Ok(engine);
            }
            Err(error) => reasons.push(format!("{pool:?}: {error:#}")),
        }
    }
    Err(StartError::Engine(reasons.join("; ")))
}

/// An engine that makes code for the one with this identity, if this build can: the same settings without a pool, which takes
/// address space and does not change the code.
pub(crate) fn compiling(memory_bytes_ceiling: u64, wanted: &Digest) -> wasmtime::Result<Option<Engine>> {
    for pool in [Pool::Plain, Pool::Narrow] {
        let engine = Engine::new(&code(memory_bytes_ceiling, pool))?;
        if identity(&engine) == *wanted {
            return Ok(Some(engine));
        }
    }
    Ok(None)
}

fn config(options: &EngineOptions, pool: Pool) -> Config {
    let mut config = code(options.memory_bytes_ceiling, pool);
    config.max_wasm_stack(options.stack_bytes_max);
    // The host's own functions run on the guest's fiber, above the guest's frames.
    config.async_stack_size(options.stack_bytes_max + HOST_STACK_BYTES);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(places(options, pool)));
    config
}

/// What makes a difference to compiled code.
fn code(memory_bytes_ceiling: u64, pool: Pool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // No toolchain of ours makes 64-bit memories, and a limit for them would be one more thing to get right.
    config.wasm_memory64(false);
    // Results must not depend on the machine that a step runs on.
    config.relaxed_simd_deterministic(true);
    if pool == Pool::Narrow {
        config.memory_reservation(memory_bytes_ceiling);
        config.memory_guard_size(64 << 10);
    } else {
        config.memory_reservation(MEMORY_RESERVATION_BYTES);
    }
    config
}

/// The pool is sized so that `slots` components of the largest admitted shape fit: with a permit for each slot, it never runs
/// out.
fn places(options: &EngineOptions, pool: Pool) -> PoolingAllocationConfig {
    let slots = options.slots;
    let mut places = PoolingAllocationConfig::new();
    places
        .total_component_instances(slots)
        .total_stacks(slots)
        .total_core_instances(slots.saturating_mul(options.core_instances_max))
        .total_memories(slots.saturating_mul(options.memories_max))
        .total_tables(slots.saturating_mul(options.tables_max))
        .max_core_instances_per_component(options.core_instances_max)
        .max_memories_per_component(options.memories_max)
        .max_tables_per_component(options.tables_max)
        .max_tables_per_module(options.tables_max)
        .table_elements(options.table_elements_max as usize)
        .max_memory_size(usize::try_from(options.memory_bytes_ceiling).unwrap_or(usize::MAX))
        .max_unused_warm_slots(slots);
    if pool == Pool::Scanned {
        places
            .pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
            .table_keep_resident(TABLE_KEPT_BYTES);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_can_be_configured() {
        let options = EngineOptions { slots: 2, ..EngineOptions::default() };
        for pool in [Pool::Plain, Pool::Narrow] {
            let engine = Engine::new(&config(&options, pool)).unwrap();
            let made = compiling(options.memory_bytes_ceiling, &identity(&engine)).unwrap();
            assert!(made.is_some(), "{pool:?}: a compiler without a pool makes the same code");
        }
        assert!(compiling(options.memory_bytes_ceiling, &Digest::of(b"another build")).unwrap().is_none());
        start(&options).unwrap();
    }

    #[test]
    fn options_that_contradict_themselves_are_named() {
        for (options, name) in [
            (EngineOptions { slots: 0, ..EngineOptions::default() }, "slots"),
            (EngineOptions { tick: Duration::ZERO, ..EngineOptions::default() }, "tick"),
            (EngineOptions { memory_bytes_max: 1 << 29, ..EngineOptions::default() }, "memory_bytes_max"),
            (
                EngineOptions { memory_bytes_ceiling: 1 << 33, ..EngineOptions::default() },
                "memory_bytes_ceiling",
            ),
            (EngineOptions { output_bytes_max: 1 << 30, ..EngineOptions::default() }, "output_bytes_max"),
        ] {
            let error = start(&options).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
