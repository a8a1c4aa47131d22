//! `stepwright token`: what lets workers of other machines in.

mod create;
mod list;
mod revoke;
mod secret;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a worker or a pool of workers. Its secret is shown once; only its fingerprint is kept.
    #[command(after_help = "Examples:\n  stepwright token create --name pool --out worker.token\n  \
        stepwright token create --name w7 --expires 90d")]
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
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !fits || !(1..=100).contains(&text.len()) || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            "a name has 1 to 100 letters, digits, '.', '_', '-' and '/', and not only digits".to_owned()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_no_number() {
        for good in ["pool", "w-1", "eu/pool.2", "1st"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", "12", "two words", "ü", &"x".repeat(101)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
