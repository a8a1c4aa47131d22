//! `token create` and `token rotate`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use stepwright_store::{NewToken, Store, TokenRecord, TokenScope};
use stepwright_transport::gate::Token;
use stepwright_workflow::template::values::duration_ms;
use stepwright_workflow::{Timestamp, TokenId};

use super::name;
use super::secret::{self, SecretFile};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::when;
use crate::watch::one_line;

/// What a new token is like, and where its secret goes.
#[derive(Debug, clap::Args)]
struct NewFlags {
    /// How long it is valid, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Write the secret to this file, with mode 0600, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Who makes it.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "somebody", hide_env_values = true)]
    by: String,
}

/// Which token to make.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArguments {
    /// Who will have it: a worker, a pool of workers, or a program.
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,
    /// What it opens: worker, the gate; of the HTTP API read, run, operate or admin, each with those before it.
    #[arg(long, value_name = "SCOPE", default_value = "worker", value_parser = scope)]
    scope: TokenScope,
    #[command(flatten)]
    new: NewFlags,
}

/// Which token to replace.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateArguments {
    /// Who has it.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What it opens.
    #[arg(long, value_name = "SCOPE", default_value = "worker", value_parser = scope)]
    scope: TokenScope,
    /// How long the old secret goes on working.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    new: NewFlags,
}

pub(crate) async fn create(arguments: &CreateArguments, context: &Context) -> Result<Exit, CliError> {
    let (new, now) = (&arguments.new, context.now());
    let made = Made::new((&arguments.name, arguments.scope), new, now)?;
    let file = new.out.as_deref().map(|path| SecretFile::new(path, made.secret.reveal())).transpose()?;
    let store = context.store().await?;
    let id = store.add_token(&made.token, now).await?;
    made.hand_over((id, now), file, (store.as_ref(), context)).await
}

pub(crate) async fn rotate(arguments: &RotateArguments, context: &Context) -> Result<Exit, CliError> {
    let (new, now) = (&arguments.new, context.now());
    let made = Made::new((&arguments.name, arguments.scope), new, now)?;
    let file =
        new.out.as_deref().map(|path| SecretFile::replacing(path, made.secret.reveal())).transpose()?;
    let store = context.store().await?;
    let others_until = now.after(arguments.grace);
    let id = store.rotate_token(&made.token, others_until, now).await?;
    let exit = made.hand_over((id, now), file, (store.as_ref(), context)).await?;
    if !context.json {
        let grace = when::until(now, others_until);
        output::hint(format!("the secrets that '{}' had before work for {grace} yet", arguments.name));
    }
    Ok(exit)
}

#[derive(Serialize)]
struct Printed<'a> {
    token: TokenRecord,
    /// Shown here, or nowhere.
    secret: Option<&'a str>,
    file: Option<PathBuf>,
}

/// A secret, and what is kept of it.
struct Made {
    secret: Token,
    token: NewToken,
}

impl Made {
    fn new((name, scope): (&str, TokenScope), flags: &NewFlags, now: Timestamp) -> Result<Self, CliError> {
        let secret = secret::draw()?;
        let token = NewToken {
            name: name.to_owned(),
            scope,
            hash: secret.hash(),
            created_by: one_line(&flags.by),
            expires_at: flags.expires.map(|lifetime| now.after(lifetime)),
        };
        Ok(Self { secret, token })
    }

    /// Gives the secret to whoever asked for it: once, in a file or on stdout.
    async fn hand_over(
        self,
        (id, now): (TokenId, Timestamp),
        file: Option<SecretFile>,
        (store, context): (&dyn Store, &Context),
    ) -> Result<Exit, CliError> {
        context.wake(store).await;
        let file = file.map(SecretFile::keep).transpose()?;
        let Self { secret, token } = self;
        let NewToken { name, scope, created_by, expires_at, .. } = token;
        let until = expires_at.map_or("until it is revoked".to_owned(), |end| format!("until {end}"));
        if context.json {
            let token = TokenRecord {
                id,
                name,
                scope,
                created_at: now,
                created_by,
                used_at: None,
                expires_at,
                revoked_at: None,
            };
            let shown = if file.is_none() { Some(secret.reveal()) } else { None };
            output::json(&Printed { token, secret: shown, file })?;
        } else if let Some(path) = file {
            output::line(format!("token {id} for '{name}' is in {}, valid {until}", path.display()))?;
        } else {
            output::line(secret.reveal())?;
            let what = match scope {
                TokenScope::Worker => {
                    "put it into a file of mode 0600 where the worker runs, and name that in worker.token_file"
                }
                _ => "send it as 'Authorization: Bearer sw_…'",
            };
            let shown = "This is its secret, and it is shown only now";
            output::hint(format!("token {id} for '{name}', valid {until}. {shown}: {what}"));
        }
        Ok(Exit::Good)
    }
}

fn scope(text: &str) -> Result<TokenScope, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = TokenScope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("'{text}' is not a scope; known are {}", known.join(", "))
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_ms(text).map(Duration::from_millis)
}

fn lifetime(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|lifetime| {
        if lifetime.is_zero() { Err(format!("'{text}' must be more than nothing")) } else { Ok(lifetime) }
    })
}
