//! Finds what is old, and removes it in small transactions. Every statement goes by key.

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, Transaction};
use stepwright_store::column::{json, number};
use stepwright_store::retention::walk_until;
use stepwright_store::row::{Look, TableSizeRow, expired_tasks};
use stepwright_store::{DatabaseSize, ExpiredTask, Expiry, Found, FoundBatches, Removed, Result, Retention};
use stepwright_workflow::{BatchId, TaskId, Timestamp, WorkerId};

use crate::encode;
use crate::error::engine;
use crate::store::SqliteStore;

/// A transaction that removes.
struct Removal<'a> {
    tx: Transaction<'static, Sqlite>,
    store: &'a SqliteStore,
    /// The pump's connection, kept while its file is written: whoever wants it waits in line instead of asking the file again
    /// and again.
    _turn: Option<PoolConnection<Sqlite>>,
}

/// Runs a checked statement of a removal, and says how many rows it changed.
macro_rules! remove {
    ($removal:ident, $what:literal, $($query:tt)*) => {{
        $removal.store.counters.statement();
        let done = sqlx::query_file!($($query)*).execute(&mut *$removal.tx).await;
        done.map_err(engine($what))?.rows_affected()
    }};
}

impl<'a> Removal<'a> {
    async fn begin(store: &'a SqliteStore) -> Result<Self> {
        let begin = "BEGIN IMMEDIATE";
        let (turn, tx) = match &store.remover {
            Some(remover) => {
                let turn = store.writer.acquire().await.map_err(engine("wait for the pump"))?;
                (Some(turn), remover.begin_with(begin).await)
            }
            None => (None, store.writer.begin_with(begin).await),
        };
        Ok(Self { tx: tx.map_err(engine("begin a transaction"))?, store, _turn: turn })
    }

    async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(engine("commit"))?;
        self.store.counters.commit();
        Ok(())
    }
}

#[async_trait]
impl Retention for SqliteStore {
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

/// `[state, before]`
fn rules(expiry: &Expiry) -> Result<String> {
    encode::array(expiry.before.iter().map(|(state, before)| (state.as_str(), before.0)))
}

async fn tasks(
    store: &SqliteStore,
    after: TaskId,
    expiry: &Expiry,
    examine: u32,
) -> Result<Found<ExpiredTask, TaskId>> {
    let (rules, until, limit) = (rules(expiry)?, expiry.walk_until().0, i64::from(examine));
    store.counters.statement();
    let row = sqlx::query_file!("queries/expired_tasks.sql", after.0, limit, rules, until);
    let row = row.fetch_one(&store.readers).await.map_err(engine("look for old tasks"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    Ok(look.found(expired_tasks(&row.due)?, examine, TaskId))
}

async fn remove_tasks(store: &SqliteStore, tasks: &[TaskId], expiry: &Expiry) -> Result<Removed> {
    if tasks.is_empty() {
        return Ok(Removed::default());
    }
    let (tasks, rules) = (encode::array(tasks)?, rules(expiry)?);
    let mut removal = Removal::begin(store).await?;
    store.counters.statement();
    let chosen =
        sqlx::query_file!("queries/prune_choose.sql", tasks, rules).fetch_all(&mut *removal.tx).await;
    let chosen: Vec<i64> =
        chosen.map_err(engine("choose old tasks"))?.into_iter().map(|row| row.id).collect();
    if chosen.is_empty() {
        return Ok(Removed::default());
    }
    let ids = encode::array(&chosen)?;
    let attempts = remove!(removal, "remove attempts", "queries/prune_attempts.sql", ids);
    let steps = remove!(removal, "remove steps", "queries/prune_steps.sql", ids);
    let notes = remove!(removal, "remove notes", "queries/prune_notes.sql", ids);
    store.counters.statement();
    let gone = sqlx::query_file!("queries/prune_tasks.sql", ids, ids, ids).fetch_all(&mut *removal.tx).await;
    let tasks = gone.map_err(engine("remove tasks"))?.len() as u64;
    removal.commit().await?;
    Ok(Removed { tasks, steps, attempts, notes, ..Removed::default() })
}

async fn batches(
    store: &SqliteStore,
    after: BatchId,
    until: Timestamp,
    examine: u32,
) -> Result<FoundBatches<BatchId>> {
    let (walk_until, limit) = (walk_until(until).0, i64::from(examine));
    store.counters.statement();
    let row = sqlx::query_file!("queries/expired_batches.sql", after.0, limit, until.0, walk_until);
    let row = row.fetch_one(&store.readers).await.map_err(engine("look for old batches"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    Ok(FoundBatches {
        found: look.found(json("expired batches", &row.due)?, examine, BatchId),
        workers: json("workers of batches", &row.workers)?,
    })
}

async fn remove_batches(store: &SqliteStore, batches: &[BatchId]) -> Result<Removed> {
    if batches.is_empty() {
        return Ok(Removed::default());
    }
    let ids = encode::array(batches)?;
    let mut removal = Removal::begin(store).await?;
    let notes = remove!(removal, "remove notes", "queries/prune_batch_notes.sql", ids);
    let batches = remove!(removal, "remove batches", "queries/prune_batches.sql", ids);
    removal.commit().await?;
    Ok(Removed { batches, notes, ..Removed::default() })
}

async fn notes(store: &SqliteStore, after: i64, until: Timestamp, examine: u32) -> Result<Found<i64, i64>> {
    let (walk_until, limit) = (walk_until(until).0, i64::from(examine));
    store.counters.statement();
    let row = sqlx::query_file!("queries/expired_notes.sql", after, limit, until.0, walk_until);
    let row = row.fetch_one(&store.readers).await.map_err(engine("look for old notes"))?;
    let look = Look { examined: row.examined, last: row.last, past: row.past };
    Ok(look.found(json("expired notes", &row.due)?, examine, std::convert::identity))
}

async fn remove_notes(store: &SqliteStore, notes: &[i64]) -> Result<Removed> {
    if notes.is_empty() {
        return Ok(Removed::default());
    }
    let ids = encode::array(notes)?;
    let mut removal = Removal::begin(store).await?;
    let notes = remove!(removal, "remove notes", "queries/prune_note_ids.sql", ids);
    removal.commit().await?;
    Ok(Removed { notes, ..Removed::default() })
}

async fn remove_workers(store: &SqliteStore, until: Timestamp, except: &[WorkerId]) -> Result<Removed> {
    let except = encode::array(except)?;
    let mut removal = Removal::begin(store).await?;
    let workers = remove!(removal, "remove workers", "queries/prune_workers.sql", until.0, except);
    removal.commit().await?;
    Ok(Removed { workers, ..Removed::default() })
}

async fn size(store: &SqliteStore) -> Result<DatabaseSize> {
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
