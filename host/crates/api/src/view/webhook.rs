//! Webhooks.

use serde::Serialize;
use stepwright_store::WebhookRecord;
use utoipa::ToSchema;

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Where events go.
    pub url: String,
    /// Only events of these names; all if there are none.
    pub events: Vec<String>,
    /// Only events of this namespace.
    pub namespace: Option<String>,
    /// Only events of this template.
    pub template: Option<String>,
    /// Whether it is told of any.
    pub enabled: bool,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// Everything up to here was taken, or was not wanted.
    pub position: String,
    /// How many events were taken.
    pub delivered: u64,
    /// When the last one was.
    pub delivered_at: Option<i64>,
    /// Requests that failed since then.
    pub failures: u32,
    /// When the last one did.
    pub failed_at: Option<i64>,
    /// Why.
    pub failure: Option<String>,
}

impl From<WebhookRecord> for Webhook {
    fn from(webhook: WebhookRecord) -> Self {
        Self {
            name: webhook.name,
            url: webhook.url,
            events: webhook.filter.events,
            namespace: webhook.filter.namespace,
            template: webhook.filter.template,
            enabled: webhook.enabled,
            created_at: webhook.created_at.0,
            created_by: webhook.created_by,
            position: webhook.position,
            delivered: webhook.delivered,
            delivered_at: webhook.delivered_at.map(|at| at.0),
            failures: webhook.failures,
            failed_at: webhook.failed_at.map(|at| at.0),
            failure: webhook.failure,
        }
    }
}

/// Webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    /// They.
    pub webhooks: Vec<Webhook>,
}

/// A new webhook with what its requests are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// `whsec_` and base64; shown once.
    pub secret: String,
}
