//! Workers, and the batches that they are given.

use stepwright_store::column::text;
use stepwright_store::{NewBatch, NewWorker, Result, StoreError, WorkerState};
use stepwright_workflow::{AttemptKey, BatchId, TaskId, Timestamp, WorkerId};

use super::PostgresRound;
use crate::encode;
use crate::error::engine;

impl PostgresRound {
    async fn batch_ids(&mut self, count: usize) -> Result<Vec<BatchId>> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows = run!(self, "number new batches", fetch_all, "queries/batch_ids.sql", count);
        Ok(rows.into_iter().map(|row| BatchId(row.id)).collect())
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
        let made = self.batch_ids(batches.len()).await?;
        let batch_ids: Vec<i64> = made.iter().map(|id| id.0).collect();
        let workers: Vec<i64> = batches.iter().map(|batch| batch.worker.0).collect();
        let listed = batches.iter().map(|batch| text(&batch.steps)).collect::<Result<Vec<String>>>()?;
        let leases = made.iter().zip(batches).flat_map(|(id, batch)| {
            batch.steps.iter().map(|(step, attempt)| AttemptKey {
                step: *step,
                attempt: *attempt,
                batch: *id,
            })
        });
        let leases: Vec<AttemptKey> = leases.collect();
        let keys = encode::keys(&leases);
        let mut tasks: Vec<i64> =
            leases.iter().filter(|lease| lease.attempt == 1).map(|lease| lease.step.task().0).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let rows = run!(
            self,
            "lease steps",
            fetch_all,
            "queries/lease.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches,
            &batch_ids,
            &workers,
            &listed,
            &tasks,
            now.0,
            orchestrator
        );
        let (started, leased): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.starts);
        let wanted = batches.iter().map(|batch| batch.steps.len()).sum::<usize>();
        if leased.len() != wanted {
            let gone =
                run!(self, "look for workers", fetch_all, "queries/workers_gone.sql", &workers, orchestrator);
            if !gone.is_empty() {
                let workers = gone.into_iter().map(|row| WorkerId(row.id)).collect();
                return Err(StoreError::WorkersGone { workers });
            }
            return Err(StoreError::Inconsistent(format!(
                "{wanted} steps were claimable, but {} could be leased",
                leased.len()
            )));
        }
        let started = started.into_iter().map(|row| TaskId(row.id)).collect();
        self.events.at(now).leased(&made, batches, started);
        Ok(made)
    }

    pub(super) async fn join_worker(
        &mut self,
        worker: &NewWorker,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<WorkerId> {
        let NewWorker { name, incarnation, host, pid, slots, orchestrator } = worker;
        let row = run!(
            self,
            "register a worker",
            fetch_one,
            "queries/worker_join.sql",
            encode::shown(name),
            encode::shown(incarnation),
            encode::shown(host),
            i64::from(*pid),
            i64::from(*slots),
            orchestrator,
            lease_until.0,
            now.0
        );
        Ok(WorkerId(row.id))
    }

    pub(super) async fn renew_leases(
        &mut self,
        workers: &[WorkerId],
        orchestrator: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = workers.iter().map(|worker| worker.0).collect();
        let rows = run!(
            self,
            "renew leases",
            fetch_all,
            "queries/workers_renew.sql",
            &ids,
            lease_until.0,
            now.0,
            orchestrator
        );
        Ok(rows.into_iter().map(|row| WorkerId(row.id)).collect())
    }

    pub(super) async fn end_workers(
        &mut self,
        workers: &[(WorkerId, WorkerState)],
        orchestrator: &str,
        now: Timestamp,
    ) -> Result<Vec<WorkerId>> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = workers.iter().map(|(worker, _)| worker.0).collect();
        let states: Vec<&str> = workers.iter().map(|(_, state)| state.as_str()).collect();
        let left = run!(
            self,
            "end workers",
            fetch_all,
            "queries/workers_leave.sql",
            &ids,
            &states as &[&str],
            now.0,
            orchestrator
        );
        Ok(left.into_iter().map(|row| WorkerId(row.id)).collect())
    }
}
