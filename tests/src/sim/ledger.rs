//! The store's reads for operators and its removals, with the same adversary in front of them.

use async_trait::async_trait;
use stepwright_store::*;
use stepwright_workflow::{BatchId, PlanId, StepId, TaskId, Timestamp, WorkerId};

use super::store::{SimStore, blocking};

#[async_trait]
impl Ledger for SimStore {
    async fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchSummary>> {
        self.read("batches").await?;
        blocking(self.inner.batches(filter))
    }

    async fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>> {
        self.read("batch").await?;
        blocking(self.inner.batch(id))
    }

    async fn batches_of(&self, task: TaskId) -> Result<Vec<BatchSummary>> {
        self.read("batches_of").await?;
        blocking(self.inner.batches_of(task))
    }

    async fn batch_notes(&self, batches: &[BatchId]) -> Result<Vec<NoteRecord>> {
        self.read("batch_notes").await?;
        blocking(self.inner.batch_notes(batches))
    }

    async fn discrepancies(&self) -> Result<Discrepancies> {
        self.read("discrepancies").await?;
        blocking(self.inner.discrepancies())
    }

    async fn receipts(&self, before: Option<(StepId, u32)>, limit: u32) -> Result<Vec<AttemptReceipt>> {
        self.read("receipts").await?;
        blocking(self.inner.receipts(before, limit))
    }
}

#[async_trait]
impl Retention for SimStore {
    async fn expired_tasks(
        &self,
        after: TaskId,
        expiry: &Expiry,
        examine: u32,
    ) -> Result<Found<ExpiredTask, TaskId>> {
        self.read("expired_tasks").await?;
        blocking(self.inner.expired_tasks(after, expiry, examine))
    }

    async fn remove_tasks(&self, tasks: &[TaskId], expiry: &Expiry) -> Result<Removed> {
        self.read("remove_tasks").await?;
        blocking(self.inner.remove_tasks(tasks, expiry))
    }

    async fn expired_batches(
        &self,
        after: BatchId,
        until: Timestamp,
        examine: u32,
    ) -> Result<FoundBatches<BatchId>> {
        self.read("expired_batches").await?;
        blocking(self.inner.expired_batches(after, until, examine))
    }

    async fn remove_batches(&self, batches: &[BatchId]) -> Result<Removed> {
        self.read("remove_batches").await?;
        blocking(self.inner.remove_batches(batches))
    }

    async fn expired_notes(&self, after: i64, until: Timestamp, examine: u32) -> Result<Found<i64, i64>> {
        self.read("expired_notes").await?;
        blocking(self.inner.expired_notes(after, until, examine))
    }

    async fn remove_notes(&self, notes: &[i64]) -> Result<Removed> {
        self.read("remove_notes").await?;
        blocking(self.inner.remove_notes(notes))
    }

    async fn remove_workers(&self, until: Timestamp, except: &[WorkerId]) -> Result<Removed> {
        self.read("remove_workers").await?;
        blocking(self.inner.remove_workers(until, except))
    }

    async fn size(&self) -> Result<DatabaseSize> {
        self.read("size").await?;
        blocking(self.inner.size())
    }
}

#[async_trait]
impl Performance for SimStore {
    async fn analytics(&self, query: &AnalyticsQuery, now: Timestamp) -> Result<Analytics> {
        self.read("analytics").await?;
        blocking(self.inner.analytics(query, now))
    }

    async fn slowest_tasks(&self, query: &SlowestQuery) -> Result<Vec<SlowTask>> {
        self.read("slowest_tasks").await?;
        blocking(self.inner.slowest_tasks(query))
    }

    async fn slowest_steps(&self, query: &SlowestQuery) -> Result<SlowSteps> {
        self.read("slowest_steps").await?;
        blocking(self.inner.slowest_steps(query))
    }

    async fn health(&self, now: Timestamp) -> Result<Health> {
        self.read("health").await?;
        blocking(self.inner.health(now))
    }
}

#[async_trait]
impl Events for SimStore {
    async fn events(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<EventPage> {
        self.read("events").await?;
        blocking(self.inner.events(after, task, limit))
    }

    async fn event_bounds(&self) -> Result<EventBounds> {
        self.read("event_bounds").await?;
        blocking(self.inner.event_bounds())
    }

    async fn event_row(&self, from: i64) -> Result<Option<(i64, Timestamp)>> {
        self.read("event_row").await?;
        blocking(self.inner.event_row(from))
    }

    async fn remove_events(&self, until: Timestamp, limit: u32) -> Result<u64> {
        self.read("remove_events").await?;
        blocking(self.inner.remove_events(until, limit))
    }

    async fn plans_of(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, PlanId)>> {
        self.read("plans_of").await?;
        blocking(self.inner.plans_of(tasks))
    }
}

#[async_trait]
impl Webhooks for SimStore {
    async fn add_webhook(&self, webhook: &NewWebhook, now: Timestamp) -> Result<()> {
        self.read("add_webhook").await?;
        blocking(self.inner.add_webhook(webhook, now))
    }

    async fn webhooks(&self) -> Result<Vec<WebhookRecord>> {
        self.read("webhooks").await?;
        blocking(self.inner.webhooks())
    }

    async fn remove_webhook(&self, name: &str) -> Result<bool> {
        self.read("remove_webhook").await?;
        blocking(self.inner.remove_webhook(name))
    }

    async fn enable_webhook(&self, name: &str, enabled: bool) -> Result<bool> {
        self.read("enable_webhook").await?;
        blocking(self.inner.enable_webhook(name, enabled))
    }

    async fn hold_webhooks(
        &self,
        holder: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<HeldWebhook>> {
        self.read("hold_webhooks").await?;
        blocking(self.inner.hold_webhooks(holder, until, now))
    }

    async fn advance_webhook(&self, name: &str, holder: &str, progress: &WebhookProgress) -> Result<bool> {
        self.read("advance_webhook").await?;
        blocking(self.inner.advance_webhook(name, holder, progress))
    }

    async fn release_webhooks(&self, holder: &str) -> Result<()> {
        self.read("release_webhooks").await?;
        blocking(self.inner.release_webhooks(holder))
    }
}
