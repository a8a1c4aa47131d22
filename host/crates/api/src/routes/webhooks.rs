//! Webhooks: made, listed, enabled, disabled, removed.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use stepwright_orchestrator::feed::Position;
use stepwright_orchestrator::webhooks::beginning;
use stepwright_store::{NewWebhook, TokenScope, WebhookFilter, WebhookRecord, WebhookSecret};
use utoipa::ToSchema;

use super::{NAME_BYTES_MAX, who};
use crate::access::Caller;
use crate::app::{App, Inner};
use crate::code::Code;
use crate::extract::{Answer, At, plain};
use crate::problem::Problem;
use crate::route::Route;
use crate::view::{MadeWebhook, Webhook, WebhookList};

pub(super) fn routes() -> Vec<Route> {
    let deed = |path, handler_id: (&'static str, &'static str), route: fn(&'static str) -> Route| {
        route(path)
            .named("webhooks", handler_id.0, handler_id.1)
            .needs(TokenScope::Admin)
            .answers::<Webhook>(StatusCode::OK, "The webhook as it is then")
            .fails(&[Code::WebhookNotFound])
    };
    vec![
        Route::get("/v1/webhooks", list)
            .named("webhooks", "list_webhooks", "Every webhook, how far it is, and what went wrong last")
            .needs(TokenScope::Admin)
            .answers::<WebhookList>(StatusCode::OK, "By name"),
        Route::post("/v1/webhooks", make)
            .named("webhooks", "make_webhook", "Tell an address of events by signed requests")
            .described(
                "Each event is posted as the schema Event says, until it is answered with a status from 200 to 299; those of one task in \
                 order. Headers and signatures are those of the Standard Webhooks specification. A receiver that answers 410 is \
                 told of no more. The answer has the secret, which is shown nowhere else.",
            )
            .needs(TokenScope::Admin)
            .body::<WebhookOrder>()
            .answers::<MadeWebhook>(StatusCode::CREATED, "The webhook and its secret")
            .fails(&[Code::AlreadyExists, Code::EventsExpired]),
        deed("/v1/webhooks/{name}", ("get_webhook", "One webhook"), |path| Route::get(path, get)),
        deed("/v1/webhooks/{name}", ("remove_webhook", "Remove a webhook"), |path| Route::delete(path, remove)),
        deed("/v1/webhooks/{name}/enable", ("enable_webhook", "Tell a webhook of events again, from where it was"), |path| {
            Route::post(path, enable)
        }),
        deed("/v1/webhooks/{name}/disable", ("disable_webhook", "Tell a webhook of nothing until it is enabled"), |path| {
            Route::post(path, disable)
        }),
    ]
}

/// A webhook to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookOrder {
    /// Its name.
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z._-][A-Za-z0-9._-]*$")]
    name: String,
    /// Where events go. `https`, and a public address, unless the setting `webhooks.networks` names its network.
    #[schema(min_length = 1, max_length = 2000)]
    url: String,
    /// Only events of these names, as `task.completed` or `step.*`; all without this.
    #[serde(default)]
    #[schema(max_items = 50)]
    events: Vec<String>,
    /// Only events about tasks and templates of this namespace.
    #[schema(min_length = 1, max_length = 400)]
    namespace: Option<String>,
    /// Only events about tasks of this template.
    #[schema(min_length = 1, max_length = 400)]
    template: Option<String>,
    /// Begin behind this position; 0 is before all events that are kept. It begins now without this.
    #[schema(pattern = "^[0-9]{1,18}(-[0-9]{1,9})?$")]
    after: Option<String>,
    /// `whsec_` and 24 to 64 bytes as base64; drawn without this.
    #[schema(min_length = 38, max_length = 94)]
    secret: Option<String>,
    /// Who makes it; the name of the token that was shown is kept beside it.
    #[schema(min_length = 1, max_length = 200)]
    by: Option<String>,
}

async fn list(State(app): State<App>) -> Result<Answer<WebhookList>, Problem> {
    let webhooks = app.store().webhooks().await?;
    Ok(Answer::ok(WebhookList { webhooks: webhooks.into_iter().map(Webhook::from).collect() }))
}

async fn make(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Answer<MadeWebhook>, Problem> {
    let order: WebhookOrder = app.json(request, app.options().body_bytes_max).await?;
    for (field, text) in [("namespace", &order.namespace), ("template", &order.template)] {
        text.as_deref().map_or(Ok(()), |text| plain(field, text, NAME_BYTES_MAX))?;
    }
    plain("url", &order.url, NAME_BYTES_MAX * 5)?;
    let secret = match order.secret {
        Some(secret) => WebhookSecret(secret),
        None => {
            let drawn = app.parts.host.webhook_secret();
            WebhookSecret(drawn.map_err(|why| crate::problem::internal(&std::io::Error::other(why)))?)
        }
    };
    let after = order.after.as_deref().map(str::parse::<Position>).transpose();
    let after = after.map_err(|why| Problem::field("after", why.to_string()))?;
    let position = beginning(app.feed(), after).await?;
    let webhook = NewWebhook {
        name: order.name,
        url: order.url,
        secret,
        filter: WebhookFilter { events: order.events, namespace: order.namespace, template: order.template },
        created_by: who(order.by.as_deref(), &caller)?,
        position,
    };
    app.parts.host.check_webhook(&webhook).map_err(|bad| Problem::field(bad.field, bad.why))?;
    app.store().add_webhook(&webhook, app.now()).await?;
    app.parts.host.wake().await;
    let made = find(&app, &webhook.name).await?;
    Ok(Answer::made(true, MadeWebhook { webhook: made.into(), secret: webhook.secret.0 }))
}

async fn get(State(app): State<App>, At(name): At<String>) -> Result<Answer<Webhook>, Problem> {
    Ok(Answer::ok(find(&app, &name).await?.into()))
}

async fn remove(State(app): State<App>, At(name): At<String>) -> Result<Answer<Webhook>, Problem> {
    let webhook = find(&app, &name).await?;
    app.store().remove_webhook(&name).await?;
    app.parts.host.wake().await;
    Ok(Answer::ok(webhook.into()))
}

async fn enable(State(app): State<App>, At(name): At<String>) -> Result<Answer<Webhook>, Problem> {
    set(&app, &name, true).await
}

async fn disable(State(app): State<App>, At(name): At<String>) -> Result<Answer<Webhook>, Problem> {
    set(&app, &name, false).await
}

async fn set(app: &Inner, name: &str, enabled: bool) -> Result<Answer<Webhook>, Problem> {
    app.store().enable_webhook(name, enabled).await?;
    app.parts.host.wake().await;
    Ok(Answer::ok(find(app, name).await?.into()))
}

async fn find(app: &Inner, name: &str) -> Result<WebhookRecord, Problem> {
    let found = app.store().webhooks().await?.into_iter().find(|webhook| webhook.name == name);
    found.ok_or_else(|| Problem::new(Code::WebhookNotFound, format!("there is no webhook '{name}'")))
}
