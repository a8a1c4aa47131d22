//! Tokens: made, listed, revoked.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::request::delay;
use stepwright_store::token::token_name_is_good;
use stepwright_store::{NewToken, TokenRecord, TokenScope};
use stepwright_workflow::TokenId;
use utoipa::ToSchema;

use super::who;
use crate::access::Caller;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, Id};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{MadeToken, Token, TokenList};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/tokens", list)
            .named("tokens", "list_tokens", "Every token there ever was; no secrets")
            .needs(TokenScope::Admin)
            .answers::<TokenList>(StatusCode::OK, "By name and id"),
        Route::post("/v1/tokens", make)
            .named("tokens", "make_token", "Make a token")
            .described("The answer has its secret, which is kept nowhere.")
            .needs(TokenScope::Admin)
            .body::<TokenOrder>()
            .answers::<MadeToken>(StatusCode::CREATED, "The token and its secret")
            .fails(&[Code::AlreadyExists]),
        Route::delete("/v1/tokens/{id}", revoke)
            .named("tokens", "revoke_token", "End a token, from now on")
            .needs(TokenScope::Admin)
            .answers::<Token>(StatusCode::OK, "The token; one that was revoked before stays so")
            .fails(&[Code::TokenNotFound]),
    ]
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenOrder {
    /// Whose it will be. There can be one valid token of each name and scope.
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._/-]*[A-Za-z._/-][A-Za-z0-9._/-]*$")]
    name: String,
    /// What it opens.
    scope: WantedScope,
    /// How long it is valid, such as `90d`; until it is revoked without this.
    #[schema(pattern = "^[1-9][0-9]{0,4}(ms|s|m|h|d)$")]
    expires_in: Option<String>,
    /// Who makes it; the name of the token that was shown is kept beside it.
    #[schema(min_length = 1, max_length = 200)]
    by: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WantedScope {
    Worker,
    Read,
    Run,
    Operate,
    Admin,
}

impl From<WantedScope> for TokenScope {
    fn from(scope: WantedScope) -> Self {
        match scope {
            WantedScope::Worker => Self::Worker,
            WantedScope::Read => Self::Read,
            WantedScope::Run => Self::Run,
            WantedScope::Operate => Self::Operate,
            WantedScope::Admin => Self::Admin,
        }
    }
}

async fn list(State(app): State<App>) -> Result<Answer<TokenList>, Problem> {
    let tokens = app.store().tokens().await?;
    Ok(Answer::ok(TokenList { tokens: tokens.into_iter().map(Token::from).collect() }))
}

async fn make(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Answer<MadeToken>, Problem> {
    let order: TokenOrder = app.json(request, app.options().body_bytes_max).await?;
    token_name_is_good(&order.name).map_err(|why| Problem::field("name", why))?;
    let lifetime = order.expires_in.as_deref().map(delay).transpose();
    let lifetime = lifetime.map_err(|why| Problem::field("expires_in", why))?;
    if lifetime == Some(Duration::ZERO) {
        return Err(Problem::field("expires_in", "it must be more than nothing"));
    }
    let drawn = app.parts.host.draw();
    let secret = drawn.map_err(|why| crate::problem::internal(&std::io::Error::other(why)))?;
    let now = app.now();
    let token = NewToken {
        name: order.name,
        scope: order.scope.into(),
        hash: secret.hash,
        created_by: who(order.by.as_deref(), &caller)?,
        expires_at: lifetime.map(|lifetime| now.after(lifetime)),
    };
    let id = app.store().add_token(&token, now).await?;
    app.parts.host.wake().await;
    let NewToken { name, scope, created_by, expires_at, .. } = token;
    let record = TokenRecord {
        id,
        name,
        scope,
        created_at: now,
        created_by,
        used_at: None,
        expires_at,
        revoked_at: None,
    };
    Ok(Answer::made(true, MadeToken { token: record.into(), secret: secret.text }))
}

async fn revoke(State(app): State<App>, At(id): At<Id>) -> Result<Answer<Token>, Problem> {
    let id = id.token();
    find(&app, id).await?;
    app.store().revoke_tokens(&[id], app.now()).await?;
    app.parts.host.wake().await;
    Ok(Answer::ok(find(&app, id).await?.into()))
}

async fn find(app: &Inner, id: TokenId) -> Result<TokenRecord, Problem> {
    let found = app.store().tokens().await?.into_iter().find(|token| token.id == id);
    found.ok_or_else(|| Problem::new(Code::TokenNotFound, format!("there is no token {id}")))
}
