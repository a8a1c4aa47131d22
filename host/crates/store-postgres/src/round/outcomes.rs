//! Attempts that ended, applied if their lease still stands.

use stepwright_store::column::text;
use stepwright_store::row::key;
use stepwright_store::{CompletedAttempt, EndedAttempt, Result};
use stepwright_workflow::{AttemptKey, PlanId, Timestamp};

use super::PostgresRound;
use crate::encode::{self, int};
use crate::error::engine;

impl PostgresRound {
    pub(super) async fn complete_steps(
        &mut self,
        attempts: &[CompletedAttempt],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, PlanId)>> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let keys = encode::keys(attempts.iter().map(|done| &done.key));
        let lines = encode::lines(attempts.iter().map(|done| &done.line));
        let outputs: Vec<&str> = attempts.iter().map(|done| done.output.as_str()).collect();
        let moved = run!(
            self,
            "complete steps",
            fetch_all,
            "queries/complete.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches,
            &outputs as &[&str],
            &lines.digests as &[Option<Vec<u8>>],
            &lines.started_at as &[Option<i64>],
            &lines.execution_us,
            &lines.cpu_us,
            &lines.memory_bytes_peak,
            &lines.logs as &[Option<String>],
            now.0,
            &lines.usages as &[Option<String>]
        );
        moved
            .into_iter()
            .map(|row| Ok((key(row.id, row.attempt, row.batch_id)?, PlanId(row.plan_id))))
            .collect()
    }

    pub(super) async fn end_attempts(
        &mut self,
        attempts: &[EndedAttempt],
        now: Timestamp,
    ) -> Result<Vec<AttemptKey>> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let keys = encode::keys(attempts.iter().map(|ended| &ended.key));
        let lines = encode::lines(attempts.iter().map(|ended| &ended.line));
        let states: Vec<&str> = attempts.iter().map(|ended| ended.to.state.as_str()).collect();
        let failures: Vec<i32> = attempts.iter().map(|ended| int(ended.to.failures)).collect();
        let losses: Vec<i32> = attempts.iter().map(|ended| int(ended.to.losses)).collect();
        let ready_at: Vec<Option<i64>> = attempts.iter().map(|ended| ended.ready_at.map(|at| at.0)).collect();
        let statuses: Vec<&str> = attempts.iter().map(|ended| ended.status.as_str()).collect();
        let reasons = attempts.iter().map(|ended| text(&ended.failure)).collect::<Result<Vec<String>>>()?;
        let moved = run!(
            self,
            "end attempts",
            fetch_all,
            "queries/end.sql",
            &keys.steps,
            &keys.attempts,
            &keys.batches,
            &states as &[&str],
            &failures,
            &losses,
            &ready_at as &[Option<i64>],
            &statuses as &[&str],
            &reasons,
            &lines.digests as &[Option<Vec<u8>>],
            &lines.started_at as &[Option<i64>],
            &lines.execution_us,
            &lines.cpu_us,
            &lines.memory_bytes_peak,
            &lines.logs as &[Option<String>],
            now.0,
            &lines.usages as &[Option<String>]
        );
        moved.into_iter().map(|row| key(row.id, row.attempt, row.batch_id)).collect()
    }
}
