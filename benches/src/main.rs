//! The workloads end to end, and the floors below which nothing can be. One JSON line each on stdout, a table on stderr.
//!
//! The orchestrator and the load generator live in this process; two worker processes run the steps, over ZeroMQ on ipc.
//! The database is a file on the disk below the current directory, or a PostgreSQL, and every commit is durable.

mod api;
mod database;
mod floor;
mod growth;
mod hostile;
mod load;
mod queries;
mod report;
mod start;
mod usage;
mod workload;
mod world;

use std::process::ExitCode;

use crate::workload::Choice;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let Some(at) = arguments.iter().position(|argument| argument == "--hostile") {
        return hostile::run(&arguments[at + 1..]).await;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--queries") {
        return queries::run(&arguments[at + 1..]).await;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--api") {
        return api::run(&arguments[at + 1..]).await;
    }
    if arguments == ["--start"] {
        return start::run().await;
    }
    let Choice { workloads, engine, finished, repeat } = workload::choose(arguments)?;
    let floors = floor::measure(engine).await?;
    let mut reports = Vec::new();
    for workload in workloads {
        for finished in &finished {
            let mut world = world::World::start(&workload, engine, *finished).await?;
            for _ in 0..repeat {
                let report = load::run(&mut world, &workload, &floors).await?;
                println!("{}", serde_json::to_string(&report)?);
                reports.push(report);
            }
            world.stop().await?;
        }
    }
    report::table(&floors, &reports);
    if finished.len() > 1 {
        growth::print(&growth::compare(&reports))?;
    }
    Ok(())
}
