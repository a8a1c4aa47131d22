//! Finds what is old, and removes it in small transactions. Every statement goes by key, on a connection that is told to.

use async_trait::async_trait;
use stepwright_store::column::number;
use stepwright_store::retention::walk_until;
use stepwright_store::row::{Look, TableSizeRow, expired_tasks};
use stepwright_store::{DatabaseSize, ExpiredTask, Expiry, Found, FoundBatches, Removed, Result, Retention};
use stepwright_workflow::{BatchId, TaskId, Timestamp, WorkerId};

use crate::error::engine;
use crate::store::PostgresStore;

#[async_trait]
impl Retention for PostgresStore {
    async fn expired_tasks(
        &self,
        after: TaskId,
        expiry: &Expiry,
        examine: u32,
    ) -> Result<Found<ExpiredTask, TaskId>> {
        tasks(self, after, expiry, examine).await
    }

    async fn remove_tasks(&self, tasks: &[TaskId], expiry: &Expiry) -> Result<Removed> {
        remove_tasks(self, tasks, expiry).await
    }

    async fn expired_batches(
        &self,
        after: BatchId,
        until: Timestamp,
        examine: u32,
    ) -> Result<FoundBatches<BatchId>> {
        batches(self, after, until, examine).await
    }

    async fn remove_batches(&self, batches: &[BatchId]) -> Result<Removed> {
        remove_batches(self, batches).await
    }

    async fn expired_notes(&self, after: i64, until: Timestamp, examine: u32) -> Result<Found<i64, i64>> {
        notes(self, after, until, examine).await
    }

    async fn remove_notes(&self, notes: &[i64]) -> Result<Removed> {
        remove_notes(self, notes).await
    }

    async fn remove_workers(&self, until: Timestamp, except: &[WorkerId]) -> Result<Removed> {
        remove_workers(self, until, except).await
    }

    async fn size(&self) -> Result<DatabaseSize> {
        size(self).await
    }
}

/// The states that may go, and before when tasks in them must have settled.
fn columns(expiry: &Expiry) -> (Vec<&'static str>, Vec<i64>) {
    expiry.before.iter().map(|(state, before)| (state.as_str(), before.0)).unzip()
}

async fn tasks(
    store: &PostgresStore,
    after: TaskId,
    expiry: &Expiry,
    examine: u32,
) -> Result<Found<ExpiredTask, TaskId>> {
    let (states, before) = columns(expiry);
    store.counters.statement();
    let row = sqlx::query_file!(
        "queries/expired_tasks.sql",
        after.0,
        i64::from(examine),
        &states as &[&str],
        &before,
        expiry.walk_until().0
    );
    let row = row.fetch_one(&store.writers).await.map_err(engine("look for old tasks"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    Ok(look.found(expired_tasks(&row.due)?, examine, TaskId))
}

async fn remove_tasks(store: &PostgresStore, tasks: &[TaskId], expiry: &Expiry) -> Result<Removed> {
    if tasks.is_empty() {
        return Ok(Removed::default());
    }
    let mut tx = store.writers.begin().await.map_err(engine("begin a transaction"))?;
    // Removes the rows of one table, and says how many there were.
    macro_rules! remove {
        ($what:literal, $file:literal, $ids:expr) => {{
            store.counters.statement();
            sqlx::query_file!($file, $ids).execute(&mut *tx).await.map_err(engine($what))?.rows_affected()
        }};
    }
    let (states, before) = columns(expiry);
    let tasks: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    store.counters.statement();
    let chosen = sqlx::query_file!("queries/prune_choose.sql", &tasks, &states as &[&str], &before);
    let chosen = chosen.fetch_all(&mut *tx).await.map_err(engine("choose old tasks"))?;
    let chosen: Vec<i64> = chosen.into_iter().map(|row| row.id).collect();
    if chosen.is_empty() {
        return Ok(Removed::default());
    }
    let removed = Removed {
        attempts: remove!("remove attempts", "queries/prune_attempts.sql", &chosen),
        steps: remove!("remove steps", "queries/prune_steps.sql", &chosen),
        notes: remove!("remove notes", "queries/prune_notes.sql", &chosen),
        tasks: remove!("remove tasks", "queries/prune_tasks.sql", &chosen),
        ..Removed::default()
    };
    tx.commit().await.map_err(engine("commit"))?;
    store.counters.commit();
    Ok(removed)
}

async fn batches(
    store: &PostgresStore,
    after: BatchId,
    until: Timestamp,
    examine: u32,
) -> Result<FoundBatches<BatchId>> {
    store.counters.statement();
    let row = sqlx::query_file!(
        "queries/expired_batches.sql",
        after.0,
        i64::from(examine),
        until.0,
        walk_until(until).0
    );
    let row = row.fetch_one(&store.writers).await.map_err(engine("look for old batches"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    let due = row.due.into_iter().map(BatchId).collect();
    Ok(FoundBatches {
        found: look.found(due, examine, BatchId),
        workers: row.workers.into_iter().map(WorkerId).collect(),
    })
}

async fn remove_batches(store: &PostgresStore, batches: &[BatchId]) -> Result<Removed> {
    if batches.is_empty() {
        return Ok(Removed::default());
    }
    let batches: Vec<i64> = batches.iter().map(|batch| batch.0).collect();
    store.counters.statement();
    let row = sqlx::query_file!("queries/prune_batches.sql", &batches).fetch_one(&store.writers).await;
    let row = row.map_err(engine("remove batches"))?;
    store.counters.commit();
    Ok(Removed {
        batches: number("count of batches", row.batches)?,
        notes: number("count of notes", row.notes)?,
        ..Removed::default()
    })
}

async fn notes(store: &PostgresStore, after: i64, until: Timestamp, examine: u32) -> Result<Found<i64, i64>> {
    store.counters.statement();
    let row = sqlx::query_file!(
        "queries/expired_notes.sql",
        after,
        i64::from(examine),
        until.0,
        walk_until(until).0
    );
    let row = row.fetch_one(&store.writers).await.map_err(engine("look for old notes"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    Ok(look.found(row.due, examine, std::convert::identity))
}

async fn remove_notes(store: &PostgresStore, notes: &[i64]) -> Result<Removed> {
    if notes.is_empty() {
        return Ok(Removed::default());
    }
    store.counters.statement();
    let done = sqlx::query_file!("queries/prune_note_ids.sql", notes).execute(&store.writers).await;
    let notes = done.map_err(engine("remove notes"))?.rows_affected();
    store.counters.commit();
    Ok(Removed { notes, ..Removed::default() })
}

async fn remove_workers(store: &PostgresStore, until: Timestamp, except: &[WorkerId]) -> Result<Removed> {
    let except: Vec<i64> = except.iter().map(|worker| worker.0).collect();
    store.counters.statement();
    let done = sqlx::query_file!("queries/prune_workers.sql", until.0, &except).execute(&store.writers).await;
    let workers = done.map_err(engine("remove workers"))?.rows_affected();
    store.counters.commit();
    Ok(Removed { workers, ..Removed::default() })
}

async fn size(store: &PostgresStore) -> Result<DatabaseSize> {
    store.counters.statement();
    let total = sqlx::query_file!("queries/database_size.sql").fetch_one(&store.readers).await;
    let total = total.map_err(engine("measure the database"))?;
    store.counters.statement();
    let rows = sqlx::query_file_as!(TableSizeRow, "queries/table_sizes.sql").fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("measure the tables"))?;
    Ok(DatabaseSize {
        bytes: number("the database's size", total.bytes)?,
        free_bytes: total.free_bytes.map(|bytes| number("the database's size", bytes)).transpose()?,
        tables: rows.into_iter().map(TableSizeRow::size).collect::<Result<_>>()?,
    })
}
