//! Batches are made, and their steps leased.

use std::collections::BTreeSet;

use stepwright_store::{NewBatch, Result, StoreError};
use stepwright_workflow::{BatchId, StepId, TaskId, Timestamp, WorkerId};

use super::SqliteRound;
use crate::encode;
use crate::error::engine;

impl SqliteRound {
    /// Fresh ids for batches. Whoever holds the orchestrator's lock is the only one that makes any, so the last one is read
    /// once; ids of a round that was rolled back are not used again.
    async fn batch_ids(&mut self, count: usize) -> Result<Vec<BatchId>> {
        use std::sync::atomic::Ordering::Relaxed;
        let last = match self.last_batch.load(Relaxed) {
            0 => self.last_id("batches").await?,
            last => last,
        };
        let ids: Vec<BatchId> = (last + 1..).take(count).map(BatchId).collect();
        self.last_batch.store(ids.last().map_or(last, |id| id.0), Relaxed);
        Ok(ids)
    }

    pub(super) async fn lease_steps(
        &mut self,
        batches: &[NewBatch],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<BatchId>> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let ids = self.batch_ids(batches.len()).await?;
        let rows =
            encode::array(ids.iter().zip(batches).map(|(id, batch)| (id, batch.worker, &batch.steps)))?;
        let steps = encode::leases(&ids, batches)?;
        let first = batches.iter().flat_map(|batch| &batch.steps).filter(|(_, attempt)| *attempt == 1);
        let mut tasks: Vec<TaskId> = first.map(|(step, _)| step.task()).collect();
        tasks.dedup();
        let tasks = encode::array(&tasks)?;
        let leased = run!(
            self,
            "lease steps",
            fetch_all,
            "queries/lease.sql",
            now.0,
            rows,
            orchestrator,
            steps,
            now.0,
            tasks
        );
        let wanted = batches.iter().map(|batch| batch.steps.len()).sum::<usize>();
        if leased.len() != wanted {
            let workers: Vec<WorkerId> = batches.iter().map(|batch| batch.worker).collect();
            let workers = encode::array(&workers)?;
            let gone =
                run!(self, "look for workers", fetch_all, "queries/workers_gone.sql", workers, orchestrator);
            if !gone.is_empty() {
                let workers = gone.into_iter().map(|row| WorkerId(row.id)).collect();
                return Err(StoreError::WorkersGone { workers });
            }
            return Err(StoreError::Inconsistent(format!(
                "{wanted} steps were claimable, but {} could be leased",
                leased.len()
            )));
        }
        let started = leased.iter().filter(|row| row.starts).map(|row| StepId(row.id).task());
        let started: BTreeSet<TaskId> = started.collect();
        self.events.at(now).leased(&ids, batches, started.into_iter().collect());
        Ok(ids)
    }
}
