//! Webhooks: who is told of events by a request, and how far each has come.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stepwright_workflow::Timestamp;

use crate::Result;
use crate::column::{json, number};
use crate::token::token_name_is_good;

/// Webhooks of the whole database. A handful.
#[async_trait]
pub trait Webhooks {
    /// Makes a webhook. One of the same name is a [`StoreError::Exists`](crate::StoreError::Exists).
    async fn add_webhook(&self, webhook: &NewWebhook, now: Timestamp) -> Result<()>;
    /// All of them, by name.
    async fn webhooks(&self) -> Result<Vec<WebhookRecord>>;
    /// Removes a webhook. Returns whether there was one.
    async fn remove_webhook(&self, name: &str) -> Result<bool>;
    /// Lets a webhook be told of events, or not. It goes on where it was. Returns whether there is one.
    async fn enable_webhook(&self, name: &str, enabled: bool) -> Result<bool>;
    /// Holds those that are enabled and that nobody else holds at this moment. Returns all that the holder holds until then.
    async fn hold_webhooks(&self, holder: &str, until: Timestamp, now: Timestamp)
    -> Result<Vec<HeldWebhook>>;
    /// Notes how far a webhook has come. Returns whether the holder still holds it.
    async fn advance_webhook(&self, name: &str, holder: &str, progress: &WebhookProgress) -> Result<bool>;
    /// Lets others hold what this one holds.
    async fn release_webhooks(&self, holder: &str) -> Result<()>;
}

/// Which events a webhook is told of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebhookFilter {
    /// Only events of these names, as `task.completed` or `step.*`; empty for all.
    #[serde(default)]
    pub events: Vec<String>,
    /// Only those about tasks and templates of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only those about tasks of this template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// What requests are signed with. It shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub String);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// A webhook to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Its name.
    pub name: String,
    /// Where events go.
    pub url: String,
    /// What they are signed with: `whsec_` and base64.
    pub secret: WebhookSecret,
    /// Which events.
    pub filter: WebhookFilter,
    /// Who made it.
    pub created_by: String,
    /// Behind which position it begins.
    pub position: String,
}

/// A webhook as people see it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookRecord {
    /// Its name.
    pub name: String,
    /// Where events go.
    pub url: String,
    /// Which events.
    pub filter: WebhookFilter,
    /// Whether it is told of any.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Everything up to here was taken, or was not wanted.
    pub position: String,
    /// How many events were taken.
    pub delivered: u64,
    /// When the last one was.
    pub delivered_at: Option<Timestamp>,
    /// Requests that failed since then.
    pub failures: u32,
    /// When the last one did.
    pub failed_at: Option<Timestamp>,
    /// Why.
    pub failure: Option<String>,
}

/// A webhook that somebody speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldWebhook {
    /// What people see of it.
    pub record: WebhookRecord,
    /// What events are signed with.
    pub secret: WebhookSecret,
}

/// How far a webhook has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookProgress {
    /// Everything up to here was taken, or was not wanted.
    pub position: String,
    /// How many events were taken since the last time.
    pub delivered: u64,
    /// When the last one was, if any was.
    pub delivered_at: Option<Timestamp>,
    /// Requests that failed since the last success.
    pub failures: u32,
    /// When the last one did, and why.
    pub failed: Option<(Timestamp, String)>,
    /// Whether it is to be told of more.
    pub enabled: bool,
}

/// Whether a webhook may have this name.
pub fn webhook_name_is_good(name: &str) -> std::result::Result<(), String> {
    token_name_is_good(name).and_then(|()| {
        // It stands in the addresses of the API.
        if name.contains('/') { Err("a webhook's name has no '/'".to_owned()) } else { Ok(()) }
    })
}

/// A webhook's row.
#[allow(missing_docs, reason = "the fields are those of the records")]
pub struct WebhookRow {
    pub name: String,
    pub url: String,
    pub secret: String,
    pub filter: String,
    pub enabled: bool,
    pub created_at: i64,
    pub created_by: String,
    pub position: String,
    pub holder: Option<String>,
    pub held_until: Option<i64>,
    pub delivered: i64,
    pub delivered_at: Option<i64>,
    pub failures: i64,
    pub failed_at: Option<i64>,
    pub failure: Option<String>,
}

impl WebhookRow {
    /// What the row says.
    pub fn held(self) -> Result<HeldWebhook> {
        let record = WebhookRecord {
            filter: json("webhooks.filter", &self.filter)?,
            name: self.name,
            url: self.url,
            enabled: self.enabled,
            created_at: Timestamp(self.created_at),
            created_by: self.created_by,
            position: self.position,
            delivered: number("webhooks.delivered", self.delivered)?,
            delivered_at: self.delivered_at.map(Timestamp),
            failures: number("webhooks.failures", self.failures)?,
            failed_at: self.failed_at.map(Timestamp),
            failure: self.failure,
        };
        Ok(HeldWebhook { record, secret: WebhookSecret(self.secret) })
    }

    /// The same without its secret.
    pub fn record(self) -> Result<WebhookRecord> {
        Ok(self.held()?.record)
    }
}
