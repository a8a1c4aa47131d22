//! Reads of batches and of what the ledger notes about them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use stepwright_store::column::number;
use stepwright_store::row::{BatchStepRow, BatchSummaryRow, NoteRow, ReceiptRow};
use stepwright_store::{
    AttemptReceipt, BatchFilter, BatchRecord, BatchStep, BatchSummary, Discrepancies, Ledger, NoteRecord,
    Result, StoreError,
};
use stepwright_workflow::{BatchId, Plan, PlanId, StepId, TaskId, Timestamp};

use crate::catalog::plan;
use crate::encode::int;
use crate::error::engine;
use crate::store::PostgresStore;

#[async_trait]
impl Ledger for PostgresStore {
    async fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchSummary>> {
        batches(self, filter).await
    }

    async fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>> {
        batch(self, id).await
    }

    async fn batches_of(&self, task: TaskId) -> Result<Vec<BatchSummary>> {
        batches_of(self, task).await
    }

    async fn batch_notes(&self, batches: &[BatchId]) -> Result<Vec<NoteRecord>> {
        notes(self, batches).await
    }

    async fn discrepancies(&self) -> Result<Discrepancies> {
        discrepancies(self).await
    }

    async fn receipts(&self, before: Option<(StepId, u32)>, limit: u32) -> Result<Vec<AttemptReceipt>> {
        receipts(self, before, limit).await
    }
}

async fn summaries(
    store: &PostgresStore,
    (first, last): (i64, i64),
    filter: &BatchFilter,
) -> Result<Vec<BatchSummary>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(
        BatchSummaryRow,
        "queries/batches.sql",
        first,
        last,
        filter.worker.as_deref(),
        filter.state.map(|state| state.as_str()),
        filter.since.map_or(i64::MIN, |since| since.0),
        i64::from(filter.limit)
    );
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("list the batches"))?;
    rows.into_iter().map(BatchSummaryRow::summary).collect()
}

async fn batches(store: &PostgresStore, filter: &BatchFilter) -> Result<Vec<BatchSummary>> {
    let last = filter.before.map_or(i64::MAX, |before| before.0.saturating_sub(1));
    summaries(store, (i64::MIN, last), filter).await
}

async fn batch(store: &PostgresStore, id: BatchId) -> Result<Option<BatchRecord>> {
    let only = BatchFilter { limit: 1, ..BatchFilter::default() };
    let Some(summary) = summaries(store, (id.0, id.0), &only).await?.pop() else { return Ok(None) };
    let steps_detail = steps(store, id).await?;
    let notes = notes(store, &[id]).await?;
    Ok(Some(BatchRecord { summary, steps_detail, notes }))
}

async fn steps(store: &PostgresStore, id: BatchId) -> Result<Vec<BatchStep>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(BatchStepRow, "queries/batch_steps.sql", id.0);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read a batch's steps"))?;
    let ids: BTreeSet<PlanId> = rows.iter().filter_map(BatchStepRow::plan).collect();
    let mut plans: BTreeMap<PlanId, Plan> = BTreeMap::new();
    for id in ids {
        let missing = || StoreError::Inconsistent(format!("plan {id} is not stored"));
        plans.insert(id, plan(store, id).await?.ok_or_else(missing)?);
    }
    rows.into_iter().map(|row| row.record(&plans)).collect()
}

async fn batches_of(store: &PostgresStore, task: TaskId) -> Result<Vec<BatchSummary>> {
    store.counters.statement();
    let rows = sqlx::query_file_as!(BatchSummaryRow, "queries/batches_of_task.sql", task.0);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read a task's batches"))?;
    rows.into_iter().map(BatchSummaryRow::summary).collect()
}

async fn notes(store: &PostgresStore, batches: &[BatchId]) -> Result<Vec<NoteRecord>> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let batches: Vec<i64> = batches.iter().map(|batch| batch.0).collect();
    store.counters.statement();
    let rows = sqlx::query_file_as!(NoteRow, "queries/batch_notes.sql", &batches);
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read the notes of batches"))?;
    rows.into_iter().map(NoteRow::record).collect()
}

async fn discrepancies(store: &PostgresStore) -> Result<Discrepancies> {
    store.counters.statement();
    let row = sqlx::query_file!("queries/discrepancies.sql").fetch_one(&store.readers).await;
    let row = row.map_err(engine("count the discrepancies"))?;
    Ok(Discrepancies { count: number("count of notes", row.count)?, last_at: row.last_at.map(Timestamp) })
}

async fn receipts(
    store: &PostgresStore,
    before: Option<(StepId, u32)>,
    limit: u32,
) -> Result<Vec<AttemptReceipt>> {
    let (step, attempt) = before.map_or((i64::MAX, 0), |(step, attempt)| (step.0, int(attempt)));
    store.counters.statement();
    let rows = sqlx::query_file_as!(ReceiptRow, "queries/receipts.sql", step, attempt, i64::from(limit));
    let rows = rows.fetch_all(&store.readers).await.map_err(engine("read what attempts used"))?;
    rows.into_iter().map(ReceiptRow::receipt).collect()
}
