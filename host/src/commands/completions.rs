//! `completions`.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::Exit;

/// Prints the script for a shell.
pub(super) fn print(shell: clap_complete::Shell) -> Exit {
    clap_complete::generate(shell, &mut Cli::command(), "stepwright", &mut std::io::stdout());
    Exit::Good
}
