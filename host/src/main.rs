//! The `stepwright` binary: reads its settings, puts the parts together, and gives them a command line.

mod admission;
mod api;
mod cli;
mod clock;
mod commands;
mod compose;
mod config;
mod context;
mod convert;
mod database;
mod error;
mod fleet;
mod input;
mod lifecycle;
mod observed;
mod output;
mod telemetry;
mod wake;
mod watch;
mod webhooks;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::error::Exit;

fn main() -> ExitCode {
    // Every part that speaks TLS uses this one; the first to come wins, so a second one changes nothing.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let json = cli.global.json;
    match cli.check(std::env::args_os()).and_then(|()| commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print(json);
            Exit::Failed.into()
        }
    }
}
