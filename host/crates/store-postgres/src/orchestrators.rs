//! Which orchestrators there are. Written now and then, outside of any round.

use stepwright_store::column::text;
use stepwright_store::row::OrchestratorRow;
use stepwright_store::{NewOrchestrator, OrchestratorRecord, Result};
use stepwright_workflow::Timestamp;

use crate::encode;
use crate::error::engine;
use crate::store::PostgresStore;

pub(crate) async fn enrol(store: &PostgresStore, new: &NewOrchestrator, now: Timestamp) -> Result<()> {
    let endpoints = encode::shown(&text(&new.endpoints)?);
    store.counters.statement();
    let enrolled = sqlx::query_file!(
        "queries/orchestrator_enrol.sql",
        encode::shown(new.place()),
        new.incarnation,
        encode::shown(&new.host),
        i64::from(new.pid),
        i64::from(new.pump),
        i64::from(new.pumps),
        endpoints,
        new.started_at.0,
        now.0,
        new.totals.as_str()
    );
    enrolled.execute(&store.writers).await.map_err(engine("enrol an orchestrator"))?;
    store.counters.commit();
    Ok(())
}

pub(crate) async fn dismiss(
    store: &PostgresStore,
    incarnation: &str,
    not_seen_since: Timestamp,
) -> Result<()> {
    store.counters.statement();
    let dismissed = sqlx::query_file!("queries/orchestrators_dismiss.sql", incarnation, not_seen_since.0);
    dismissed.execute(&store.writers).await.map_err(engine("dismiss orchestrators"))?;
    store.counters.commit();
    Ok(())
}

pub(crate) async fn orchestrators(store: &PostgresStore) -> Result<Vec<OrchestratorRecord>> {
    store.counters.statement();
    let rows =
        sqlx::query_file_as!(OrchestratorRow, "queries/orchestrators.sql").fetch_all(&store.readers).await;
    rows.map_err(engine("read the orchestrators"))?.into_iter().map(OrchestratorRow::record).collect()
}
