//! Reads of events, and the removal of old ones.

use async_trait::async_trait;
use stepwright_store::{EventBounds, EventPage, EventRow, Events, Result};
use stepwright_workflow::{PlanId, TaskId, Timestamp};

use crate::encode;
use crate::error::engine;
use crate::store::SqliteStore;

#[async_trait]
impl Events for SqliteStore {
    async fn events(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<EventPage> {
        page(self, after, task, limit).await
    }

    async fn event_bounds(&self) -> Result<EventBounds> {
        self.counters.statement();
        let row = sqlx::query_file!("queries/event_bounds.sql").fetch_one(&self.readers).await;
        let row = row.map_err(engine("read where events begin and end"))?;
        Ok(EventBounds { oldest: row.oldest, newest: row.newest })
    }

    async fn event_row(&self, from: i64) -> Result<Option<(i64, Timestamp)>> {
        self.counters.statement();
        let row = sqlx::query_file!("queries/event_row.sql", from).fetch_optional(&self.readers).await;
        Ok(row.map_err(engine("look for an event"))?.map(|row| (row.id, Timestamp(row.at))))
    }

    async fn remove_events(&self, until: Timestamp, limit: u32) -> Result<u64> {
        self.counters.statement();
        let limit = i64::from(limit);
        let removed =
            sqlx::query_file!("queries/prune_events.sql", until.0, limit).execute(&self.writer).await;
        let removed = removed.map_err(engine("remove old events"))?.rows_affected();
        if removed > 0 {
            self.counters.commit();
        }
        Ok(removed)
    }

    async fn plans_of(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, PlanId)>> {
        plans(self, tasks).await
    }
}

async fn page(store: &SqliteStore, after: i64, task: Option<TaskId>, limit: u32) -> Result<EventPage> {
    let (task, limit) = (task.map(|task| task.0), i64::from(limit));
    store.counters.statement();
    let rows = sqlx::query_file!("queries/events.sql", after, task, limit).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read events"))?;
    let mut page = EventPage::default();
    for row in rows {
        if !row.settled {
            page.withheld = true;
            break;
        }
        page.rows.push(EventRow::read(row.id, row.at, &row.content)?);
    }
    Ok(page)
}

async fn plans(store: &SqliteStore, tasks: &[TaskId]) -> Result<Vec<(TaskId, PlanId)>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    store.counters.statement();
    let ids = encode::array(tasks)?;
    let rows = sqlx::query_file!("queries/plans_of.sql", ids).fetch_all(&store.readers).await;
    let rows = rows.map_err(engine("read what tasks run"))?;
    Ok(rows.into_iter().map(|row| (TaskId(row.id), PlanId(row.plan_id))).collect())
}
