//! `token revoke`.

use serde::Serialize;
use stepwright_store::TokenRecord;
use stepwright_workflow::TokenId;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// What to revoke.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArguments {
    /// A token's id, or the name whose tokens all end.
    #[arg(value_name = "NAME|ID")]
    token: String,
}

#[derive(Serialize)]
struct Printed {
    revoked: Vec<TokenRecord>,
}

pub(crate) async fn run(arguments: &RevokeArguments, context: &Context) -> Result<Exit, CliError> {
    let (store, now) = (context.store().await?, context.now());
    let wanted = &arguments.token;
    let id = wanted.parse::<TokenId>().ok();
    let mut tokens = store.tokens().await?;
    tokens
        .retain(|token| token.is_valid(now) && id.map_or_else(|| token.name == *wanted, |id| token.id == id));
    let ids: Vec<TokenId> = tokens.iter().map(|token| token.id).collect();
    if ids.is_empty() {
        return Err(CliError::new(format!(
            "there is no valid token '{wanted}'; 'stepwright token list --all' lists them all"
        )));
    }
    let revoked = store.revoke_tokens(&ids, now).await?;
    context.wake(store.as_ref()).await;
    tokens.retain(|token| revoked.contains(&token.id));
    for token in &mut tokens {
        token.revoked_at = Some(now);
    }
    if context.json {
        output::json(&Printed { revoked: tokens })?;
    } else {
        for token in tokens {
            output::line(format!("token {} of '{}' revoked", token.id, token.name))?;
        }
    }
    Ok(Exit::Good)
}
