//! `stepwright batch`: which steps went to which worker, and what came back.

mod list;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};

/// What can be asked about batches.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// List batches, the newest first: who got them, and how they ended.
    #[command(after_help = "Examples:\n  stepwright batch list --state discrepancy\n  \
        stepwright batch list --worker w1 --since 1h\n  stepwright batch list --before 1200 --json")]
    List(list::ListArguments),
    /// Show a batch: each attempt with what came of it, when the completion came, and everything that was noted.
    #[command(after_help = "Example:\n  stepwright batch show 1200")]
    Show(show::ShowArguments),
}

/// Does what was asked.
pub(crate) async fn run(command: BatchCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        BatchCommand::List(arguments) => list::run(&arguments, context).await,
        BatchCommand::Show(arguments) => show::run(&arguments, context).await,
    }
}
