//! Which orchestrators there are. Written now and then, outside of any round.

use stepwright_store::column::text;
use stepwright_store::row::OrchestratorRow;
use stepwright_store::{NewOrchestrator, OrchestratorRecord, Result};
use stepwright_workflow::Timestamp;

use crate::error::engine;
use crate::store::SqliteStore;

pub(crate) async fn enrol(store: &SqliteStore, new: &NewOrchestrator, now: Timestamp) -> Result<()> {
    let endpoints = text(&new.endpoints)?;
    let (place, totals) = (new.place(), new.totals.as_str());
    let (pid, pump, pumps) = (i64::from(new.pid), i64::from(new.pump), i64::from(new.pumps));
    store.counters.statement();
    let enrolled = sqlx::query_file!(
        "queries/orchestrator_enrol.sql",
        place,
        new.incarnation,
        new.host,
        pid,
        pump,
        pumps,
        endpoints,
        new.started_at.0,
        now.0,
        totals
    );
    enrolled.execute(&store.writer).await.map_err(engine("enrol an orchestrator"))?;
    store.counters.commit();
    Ok(())
}

pub(crate) async fn dismiss(store: &SqliteStore, incarnation: &str, not_seen_since: Timestamp) -> Result<()> {
    store.counters.statement();
    let dismissed = sqlx::query_file!("queries/orchestrators_dismiss.sql", incarnation, not_seen_since.0);
    dismissed.execute(&store.writer).await.map_err(engine("dismiss orchestrators"))?;
    store.counters.commit();
    Ok(())
}

pub(crate) async fn orchestrators(store: &SqliteStore) -> Result<Vec<OrchestratorRecord>> {
    store.counters.statement();
    let rows =
        sqlx::query_file_as!(OrchestratorRow, "queries/orchestrators.sql").fetch_all(&store.readers).await;
    rows.map_err(engine("read the orchestrators"))?.into_iter().map(OrchestratorRow::record).collect()
}
