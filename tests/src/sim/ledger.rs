//! The store's reads for operators and its removals, with the same adversary in front of them.

use async_trait::async_trait;
use stepwright_store::*;
use stepwright_workflow::{BatchId, StepId, TaskId, Timestamp, WorkerId};

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
