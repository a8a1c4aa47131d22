//! Files that somebody could try to register: each is refused, or described within its limits, and the sandbox is free again. A
//! guest's own code runs for some milliseconds at most.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stepwright_executor::{EngineOptions, Refusal, Sandbox, inspect};
use tokio::runtime::Runtime;

static WORLD: LazyLock<(Runtime, Arc<Sandbox>)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let options = EngineOptions {
        slots: 1,
        memory_bytes_max: 4 << 20,
        memory_bytes_ceiling: 4 << 20,
        component_bytes_max: 64 << 10,
        tick: Duration::from_millis(1),
        describe_max: Duration::from_millis(5),
        ..EngineOptions::default()
    };
    (runtime.expect("a runtime"), Sandbox::start(options).expect("a sandbox"))
});

fuzz_target!(|input: &[u8]| {
    let (runtime, sandbox) = &*WORLD;
    let inspected = runtime.block_on(inspect(sandbox, input.to_vec()));
    if let Err(Refusal::Host(reason)) = inspected {
        panic!("the host is broken: {reason}");
    }
    assert_eq!(sandbox.slots_free(), 1);
});
