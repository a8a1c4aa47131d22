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
use crate::error::{CliError, Exit};

fn main() -> ExitCode {
    // Every part that speaks TLS uses this one; the first to come wins, so a second one changes nothing.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misspelt(&error),
    };
    let json = cli.global.json;
    match cli.check(std::env::args_os()).and_then(|()| commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print(json);
            Exit::Failed.into()
        }
    }
}

/// What was asked for cannot be read, or it was help.
fn misspelt(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Good.into();
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        CliError::new(text.trim().trim_start_matches("error: ")).print(true);
    } else {
        let _ = error.print();
    }
    Exit::Failed.into()
}
