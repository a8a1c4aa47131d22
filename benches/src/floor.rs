//! What nothing can be faster than: a fresh sandbox and one call, and a durable commit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use stepwright_executor::bare::Bare;
use stepwright_executor::{EngineOptions, Sandbox};

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
pub(crate) async fn measure() -> anyhow::Result<Floors> {
    let floors = Floors { wasm_call_us: wasm_call_us().await?, commits_per_s: commits_per_s().await? };
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

async fn commits_per_s() -> anyhow::Result<f64> {
    let folder = crate::world::data_folder()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
    sqlx::query("CREATE TABLE floor (id INTEGER PRIMARY KEY, text TEXT)").execute(&mut connection).await?;
    let begun = Instant::now();
    let mut commits = 0_u32;
    while begun.elapsed() < MEASURED {
        sqlx::query("INSERT INTO floor (text) VALUES (?)")
            .bind("two hundred bytes or less")
            .execute(&mut connection)
            .await?;
        commits += 1;
    }
    let rate = f64::from(commits) / begun.elapsed().as_secs_f64();
    connection.close().await.context("failed to close the floor's database")?;
    Ok(rate)
}
