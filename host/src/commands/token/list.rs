//! `token list`.

use serde::Serialize;
use stepwright_store::TokenRecord;
use stepwright_workflow::Timestamp;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{Columns, Entry};
use crate::output::when;

/// Which tokens to list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    /// Also list tokens that were revoked or have expired.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Listed {
    tokens: Vec<TokenRecord>,
}

pub(crate) async fn run(arguments: &ListArguments, context: &Context) -> Result<Exit, CliError> {
    let (mut tokens, now) = (context.store().await?.tokens().await?, context.now());
    tokens.retain(|token| arguments.all || token.is_valid(now));
    if context.json {
        output::json(&Listed { tokens })?;
    } else if tokens.is_empty() {
        output::hint("there is no token; make one with 'stepwright token create --name NAME --out FILE'");
    } else {
        output::line(table(&tokens, now, Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(tokens: &[TokenRecord], now: Timestamp, paint: Paint) -> String {
    let mut columns =
        Columns::new(&["ID", "NAME", "SCOPE", "STATE", "MADE", "BY", "LAST ENTRY", "EXPIRES"]).right(&[0]);
    for token in tokens {
        columns.row([
            token.id.into(),
            (&token.name).into(),
            token.scope.as_str().into(),
            state(token, now),
            when::ago(now, token.created_at).into(),
            (&token.created_by).into(),
            token.used_at.map(|used| when::ago(now, used)).unwrap_or_default().into(),
            token
                .expires_at
                .filter(|end| *end > now)
                .map(|end| format!("in {}", when::until(now, end)))
                .unwrap_or_default()
                .into(),
        ]);
    }
    columns.render(paint)
}

fn state(token: &TokenRecord, now: Timestamp) -> Entry {
    match token.revoked_at {
        Some(_) => Entry::toned(Tone::Bad, "revoked"),
        None if token.is_valid(now) => Entry::toned(Tone::Good, "valid"),
        None => Entry::toned(Tone::Faint, "expired"),
    }
}

#[cfg(test)]
mod tests {
    use stepwright_store::TokenScope;
    use stepwright_workflow::TokenId;

    use super::*;

    #[test]
    fn a_token_is_one_line() {
        let token = |id, expires_at, revoked_at| TokenRecord {
            id: TokenId(id),
            name: "pool".to_owned(),
            scope: TokenScope::Worker,
            created_at: Timestamp(0),
            created_by: "ann".to_owned(),
            used_at: Some(Timestamp(50_000)),
            expires_at,
            revoked_at,
        };
        let tokens = [
            token(1, Some(Timestamp(7_000)), None),
            token(2, Some(Timestamp(70_000)), None),
            token(3, None, Some(Timestamp(9))),
        ];
        let expect = "\
ID  NAME  SCOPE   STATE    MADE          BY   LAST ENTRY  EXPIRES
 1  pool  worker  expired  1 min 0 s ago  ann  10 s ago    -
 2  pool  worker  valid    1 min 0 s ago  ann  10 s ago    in 10 s
 3  pool  worker  revoked  1 min 0 s ago  ann  10 s ago    -";
        let shown = table(&tokens, Timestamp(60_000), Paint::PLAIN);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(expect));
    }
}
