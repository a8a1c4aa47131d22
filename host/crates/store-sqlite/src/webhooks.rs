//! Webhooks: written by operators, and by whoever speaks for them.

use async_trait::async_trait;
use stepwright_store::column::text;
use stepwright_store::webhook::WebhookRow;
use stepwright_store::{
    HeldWebhook, NewWebhook, Result, StoreError, WebhookProgress, WebhookRecord, Webhooks,
};
use stepwright_workflow::Timestamp;

use crate::error::engine;
use crate::store::SqliteStore;

/// Runs a checked statement that is a transaction of its own, and says how many rows it changed.
macro_rules! change {
    ($store:ident, $what:literal, $($query:tt)*) => {{
        $store.counters.statement();
        let done = sqlx::query_file!($($query)*).execute(&$store.writer).await.map_err(engine($what))?;
        if done.rows_affected() > 0 {
            $store.counters.commit();
        }
        done.rows_affected()
    }};
}

#[async_trait]
impl Webhooks for SqliteStore {
    async fn add_webhook(&self, webhook: &NewWebhook, now: Timestamp) -> Result<()> {
        add(self, webhook, now).await
    }

    async fn webhooks(&self) -> Result<Vec<WebhookRecord>> {
        self.counters.statement();
        let rows = sqlx::query_file_as!(WebhookRow, "queries/webhooks.sql").fetch_all(&self.readers).await;
        rows.map_err(engine("read the webhooks"))?.into_iter().map(WebhookRow::record).collect()
    }

    async fn remove_webhook(&self, name: &str) -> Result<bool> {
        Ok(change!(self, "remove a webhook", "queries/webhook_remove.sql", name) > 0)
    }

    async fn enable_webhook(&self, name: &str, enabled: bool) -> Result<bool> {
        Ok(change!(self, "enable a webhook", "queries/webhook_enable.sql", name, enabled) > 0)
    }

    async fn hold_webhooks(
        &self,
        holder: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<HeldWebhook>> {
        hold(self, holder, until, now).await
    }

    async fn advance_webhook(&self, name: &str, holder: &str, progress: &WebhookProgress) -> Result<bool> {
        advance(self, name, holder, progress).await
    }

    async fn release_webhooks(&self, holder: &str) -> Result<()> {
        change!(self, "release webhooks", "queries/webhooks_release.sql", holder);
        Ok(())
    }
}

async fn add(store: &SqliteStore, webhook: &NewWebhook, now: Timestamp) -> Result<()> {
    let NewWebhook { name, url, secret, filter, created_by, position } = webhook;
    let filter = text(filter)?;
    let added = change!(
        store,
        "make a webhook",
        "queries/webhook_insert.sql",
        name,
        url,
        secret.0,
        filter,
        now.0,
        created_by,
        position
    );
    if added == 0 {
        return Err(StoreError::Exists {
            subject: format!("a webhook of the name '{name}'"),
            advice: format!("'stepwright webhook remove {name}' ends it"),
        });
    }
    Ok(())
}

async fn hold(
    store: &SqliteStore,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<HeldWebhook>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(WebhookRow, "queries/webhooks_hold.sql", holder, until.0, now.0);
    let rows = rows.fetch_all(&store.writer).await.map_err(engine("hold webhooks"))?;
    if !rows.is_empty() {
        store.counters.commit();
    }
    rows.into_iter().map(WebhookRow::held).collect()
}

async fn advance(store: &SqliteStore, name: &str, holder: &str, progress: &WebhookProgress) -> Result<bool> {
    let WebhookProgress { position, delivered, delivered_at, failures, failed, enabled } = progress;
    let delivered = i64::try_from(*delivered).unwrap_or(i64::MAX);
    let (delivered_at, failures) = (delivered_at.map(|at| at.0), i64::from(*failures));
    let failed_at = failed.as_ref().map(|(at, _)| at.0);
    let failure = failed.as_ref().map(|(_, why)| why.as_str());
    let held = change!(
        store,
        "note how far a webhook has come",
        "queries/webhook_advance.sql",
        name,
        holder,
        position,
        delivered,
        delivered_at,
        failures,
        failed_at,
        failure,
        enabled
    );
    Ok(held > 0)
}
