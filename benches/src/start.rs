//! Cold and warm starts: what it takes until a component's first step has run, beside what bare wasmtime takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Error, ensure};
use serde::Serialize;
use stepwright_executor::bare::{Bare, BareCode};
use stepwright_executor::{
    CompiledFolder, Compiler, CompilerProcess, Control, EngineOptions, Executor as _, Outcome, Sandbox,
    StepCall, WasmExecutor,
};
use stepwright_registry::PluginFolder;
use stepwright_workflow::{Digest, Payload, StepLimits, TaskId};

use crate::world::{SystemClock, component, data_folder};

/// The size of the large component: that of JavaScript's or Python's runtime.
const LARGE_BYTES: usize = 10 << 20;
/// Calls of which the mean is taken.
const CALLS: u32 = 500;

/// One component's times, in milliseconds.
#[derive(Debug, Serialize)]
struct Start {
    component: &'static str,
    component_bytes: usize,
    code_bytes: usize,
    /// In a process of its own.
    compile_ms: f64,
    /// In this process.
    compile_bare_ms: f64,
    /// From the caches on disk, both checked.
    load_ms: f64,
    /// From memory, unchecked.
    load_bare_ms: f64,
    /// One step through the executor.
    step_ms: f64,
    /// One instance and one call.
    call_bare_ms: f64,
}

/// Prints a JSON line for each component, and a table.
pub(crate) async fn run() -> anyhow::Result<()> {
    let small = component()?;
    let large = enlarged(&small, LARGE_BYTES);
    let starts = [measure("small", small).await?, measure("large", large).await?];
    eprintln!();
    eprintln!(
        "{:<6} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "bytes", "code", "compile", "(bare)", "load", "(bare)", "step", "(bare)"
    );
    for it in &starts {
        println!("{}", serde_json::to_string(it)?);
        eprintln!(
            "{:<6} {:>10} {:>10} {:>7.0} ms {:>7.0} ms {:>6.2} ms {:>6.2} ms {:>6.3} ms {:>6.3} ms",
            it.component,
            it.component_bytes,
            it.code_bytes,
            it.compile_ms,
            it.compile_bare_ms,
            it.load_ms,
            it.load_bare_ms,
            it.step_ms,
            it.call_bare_ms
        );
    }
    Ok(())
}

async fn measure(name: &'static str, bytes: Vec<u8>) -> anyhow::Result<Start> {
    let sandbox = Sandbox::start(EngineOptions { slots: 1, ..EngineOptions::default() })?;
    let apart = Compiler::Process(CompilerProcess {
        program: std::env::current_exe()?.with_file_name("stepwright"),
        arguments: vec!["compile-component".into()],
        cpu_max: CompilerProcess::CPU_MAX * 4,
        wall_max: CompilerProcess::wall_for(CompilerProcess::CPU_MAX * 4),
        memory_bytes_max: CompilerProcess::MEMORY_BYTES_MAX,
    });
    let apart = Sandbox::start(EngineOptions { slots: 1, compiler: apart, ..EngineOptions::default() })?;
    let (made_apart, compile_ms) = timed(|| BareCode::compile(&apart, &bytes))?;
    let (code, compile_bare_ms) = timed(|| BareCode::compile(&sandbox, &bytes))?;
    ensure!(made_apart.bytes() == code.bytes(), "the compiler's process makes other code");
    let ((), load_bare_ms) = timed(|| code.load(&sandbox))?;

    let (home, digest, component_bytes) = (data_folder()?, Digest::of(&bytes), bytes.len());
    PluginFolder::open(&home.path().join("plugins"))?.put(&bytes)?;
    let executor = || -> anyhow::Result<WasmExecutor> {
        let folder = PluginFolder::open(&home.path().join("plugins"))?;
        let compiled = CompiledFolder::open(&home.path().join("compiled"), 1 << 30)?;
        Ok(WasmExecutor::new(Arc::clone(&sandbox), folder, compiled, Arc::new(SystemClock)))
    };
    executor()?.warm(digest).await.map_err(|failure| Error::msg(failure.to_string()))?;
    let warm = executor()?;
    let begun = Instant::now();
    warm.warm(digest).await.map_err(|failure| Error::msg(failure.to_string()))?;
    let load_ms = millis(begun.elapsed());
    ensure!(warm.cache_counts().loaded == 1, "the code was not kept");

    let begun = Instant::now();
    for _ in 0..CALLS {
        let report = warm.execute(call(digest), Control::default()).await?;
        ensure!(matches!(report.outcome, Outcome::Completed { .. }), "{:?}", report.outcome);
    }
    let step_ms = millis(begun.elapsed() / CALLS);
    let bare = Bare::of(Arc::clone(&sandbox), &code).map_err(Error::msg)?;
    let begun = Instant::now();
    for _ in 0..CALLS {
        bare.call("noop", "{\"n\":1}").await.map_err(Error::msg)?;
    }
    let (call_bare_ms, code_bytes) = (millis(begun.elapsed() / CALLS), code.bytes());
    Ok(Start {
        component: name,
        component_bytes,
        code_bytes,
        compile_ms,
        compile_bare_ms,
        load_ms,
        load_bare_ms,
        step_ms,
        call_bare_ms,
    })
}

fn timed<T>(work: impl FnOnce() -> Result<T, String>) -> anyhow::Result<(T, f64)> {
    let begun = Instant::now();
    let done = work().map_err(Error::msg)?;
    Ok((done, millis(begun.elapsed())))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn call(digest: Digest) -> StepCall {
    StepCall {
        task: TaskId(1),
        step_name: "only".to_owned(),
        attempt: 1,
        retry_limit: 1,
        idempotency_key: "task/1/only".to_owned(),
        plugin: "examples/shapes".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        namespace: "shapes".to_owned(),
        digest,
        handler: "noop".to_owned(),
        timeout: Duration::from_secs(30),
        limits: StepLimits::default(),
        context: Payload::parse("{\"n\":1}").unwrap_or_default(),
        config: Payload::null(),
        parents: Vec::new(),
        tags: Vec::new(),
    }
}

/// A component with another module beside its own, full of functions that are compiled and never run.
fn enlarged(component: &[u8], bytes: usize) -> Vec<u8> {
    // (func (param i32) (result i32)): multiply, add, fold and branch, some five hundred bytes of it.
    let mut body = vec![0x00, 0x20, 0x00];
    for number in 1..40_u8 {
        // local.get 0, i32.const N, i32.mul, i32.xor, local.tee 0, if (result i32) local.get 0 else i32.const N end
        body.extend([
            0x20, 0x00, 0x41, number, 0x6c, 0x73, 0x22, 0x00, 0x04, 0x7f, 0x20, 0x00, 0x05, 0x41, number,
            0x0b,
        ]);
    }
    body.push(0x0b);
    let mut function = leb(body.len());
    function.extend(&body);
    let functions = (bytes / function.len()).max(1);
    let (mut declared, mut code) = (leb(functions), leb(functions));
    declared.resize(declared.len() + functions, 0);
    (0..functions).for_each(|_| code.extend(&function));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in [(1, vec![1, 0x60, 1, 0x7f, 1, 0x7f]), (3, declared), (10, code)] {
        section(&mut module, id, &content);
    }
    let mut larger = component.to_vec();
    // Section 1 of a component is a core module (component model, binary format).
    section(&mut larger, 1, &module);
    larger
}

fn section(into: &mut Vec<u8>, id: u8, content: &[u8]) {
    into.push(id);
    into.extend(leb(content.len()));
    into.extend(content);
}

/// Unsigned LEB128 (WebAssembly core specification 5.2.2).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
