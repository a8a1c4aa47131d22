//! `completions`.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output;

/// Prints the script for a shell.
pub(super) fn print(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stepwright", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Good)
}
