//! What nothing can be faster than: a fresh sandbox and one call, and a durable commit.

use std::time::{Duration, Instant};

use serde::Serialize;
use stepwright_executor::bare::Bare;
use stepwright_executor::{EngineOptions, Sandbox};

use crate::database::Engine;
use crate::usage;

/// The floors of this machine at this moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Floors {
    /// CPU of one fresh instance, one call of the no-op handler, and the drop, in microseconds.
    pub(crate) wasm_call_us: f64,
    /// Durable commits of one small row, one after another.
    pub(crate) commits_per_s: f64,
}

const MEASURED: Duration = Duration::from_secs(2);

/// Measures both, prints them as a JSON line.
pub(crate) async fn measure(engine: Engine) -> anyhow::Result<Floors> {
    let folder = crate::world::data_folder()?;
    let commits_per_s = engine.commits_per_s(folder.path(), MEASURED).await?;
    let floors = Floors { wasm_call_us: wasm_call_us().await?, commits_per_s };
    println!("{}", serde_json::json!({ "floor": floors }));
    Ok(floors)
}

/// On one thread, so that the process's CPU time is the calls'.
async fn wasm_call_us() -> anyhow::Result<f64> {
    let sandbox = Sandbox::start(EngineOptions { slots: 1, ..EngineOptions::default() })?;
    let bare = Bare::new(sandbox, &crate::world::component()?).map_err(anyhow::Error::msg)?;
    let context = format!("{{\"n\":1,\"note\":\"{:x<160}\"}}", "");
    let mut calls = 0_u32;
    for _ in 0..200 {
        bare.call("noop", &context).await.map_err(anyhow::Error::msg)?;
    }
    let (begun, cpu) = (Instant::now(), usage::cpu(std::process::id())?);
    while begun.elapsed() < MEASURED {
        bare.call("noop", &context).await.map_err(anyhow::Error::msg)?;
        calls += 1;
    }
    let spent = usage::cpu(std::process::id())? - cpu;
    Ok(spent.as_secs_f64() * 1_000_000.0 / f64::from(calls))
}
