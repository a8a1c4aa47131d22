//! `stepwright token`: what lets workers of other machines in, and programs into the HTTP API.

mod create;
mod list;
mod revoke;
pub(crate) mod secret;

use clap::Subcommand;
use stepwright_store::token::token_name_is_good;

use crate::context::Context;
use crate::error::{CliError, Exit};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a worker, a pool of workers, or a program. Its secret is shown once; only its fingerprint is kept.
    #[command(after_help = "Examples:\n  stepwright token create --name pool --out worker.token\n  \
        stepwright token create --name w7 --expires 90d\n  \
        stepwright token create --name shop --scope run    # for the HTTP API")]
    Create(create::CreateArguments),
    /// List tokens: whose they are, and whether they are valid.
    #[command(after_help = "Examples:\n  stepwright token list\n  stepwright token list --all --json")]
    List(list::ListArguments),
    /// End a token, or every token of a name, at once: connections that came in with it are closed.
    #[command(after_help = "Examples:\n  stepwright token revoke pool\n  stepwright token revoke 12")]
    Revoke(revoke::RevokeArguments),
    /// Make a new secret for a name, while the old one works for some time yet.
    #[command(after_help = "Examples:\n  stepwright token rotate pool --out worker.token\n  \
        stepwright token rotate pool --grace 1h --expires 90d")]
    Rotate(create::RotateArguments),
}

/// Does what was asked.
pub(crate) async fn run(command: TokenCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        TokenCommand::Create(arguments) => create::create(&arguments, context).await,
        TokenCommand::List(arguments) => list::run(&arguments, context).await,
        TokenCommand::Revoke(arguments) => revoke::run(&arguments, context).await,
        TokenCommand::Rotate(arguments) => create::rotate(&arguments, context).await,
    }
}

/// A name that nobody takes for an id, and that needs no quotes.
fn name(text: &str) -> Result<String, String> {
    token_name_is_good(text).map(|()| text.to_owned())
}
