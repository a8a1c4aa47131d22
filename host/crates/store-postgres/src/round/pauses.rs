//! Pauses, what they set aside, and suspects.

use stepwright_store::column::{digest, number};
use stepwright_store::row::{PauseRow, ReadyRow};
use stepwright_store::{PauseRecord, ReadyStep, Result};
use stepwright_workflow::pause::PauseTarget;
use stepwright_workflow::{Digest, StepId, Timestamp};

use super::PostgresRound;
use crate::encode;
use crate::error::engine;

impl PostgresRound {
    pub(super) async fn kept_pauses(&mut self) -> Result<Vec<PauseRecord>> {
        let rows = rows!(self, "read the pauses", PauseRow, fetch_all, "queries/pauses_kept.sql");
        rows.into_iter().map(PauseRow::record).collect()
    }

    pub(super) async fn make_pause(&mut self, pause: &PauseRecord) -> Result<bool> {
        let PauseRecord { target, since, who, why } = pause;
        let made = run!(
            self,
            "pause",
            execute,
            "queries/pause.sql",
            target.scope().as_str(),
            target.name(),
            since.0,
            encode::shown(who),
            encode::shown(why)
        );
        Ok(made.rows_affected() > 0)
    }

    pub(super) async fn take_pause(&mut self, target: &PauseTarget) -> Result<bool> {
        let (scope, name) = (target.scope().as_str(), target.name());
        Ok(run!(self, "resume", execute, "queries/resume.sql", scope, name).rows_affected() > 0)
    }

    pub(super) async fn park_steps(&mut self, steps: &[StepId], parked: bool) -> Result<()> {
        if !steps.is_empty() {
            let steps: Vec<i64> = steps.iter().map(|step| step.0).collect();
            run!(self, "set steps aside", execute, "queries/park.sql", &steps, parked);
        }
        Ok(())
    }

    pub(super) async fn parked_steps(&mut self, after: StepId, limit: u32) -> Result<Vec<ReadyStep>> {
        let limit = i64::from(limit);
        let rows =
            rows!(self, "read steps set aside", ReadyRow, fetch_all, "queries/parked.sql", after.0, limit);
        rows.into_iter().map(ReadyRow::record).collect()
    }

    pub(super) async fn suspect_components(
        &mut self,
        components: &[Digest],
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Digest, u32)>> {
        if components.is_empty() {
            return Ok(Vec::new());
        }
        let rows = run!(
            self,
            "note suspects",
            fetch_all,
            "queries/suspect.sql",
            &bytes(components),
            not_since.0,
            now.0
        );
        rows.into_iter()
            .map(|row| Ok((digest("suspects.digest", &row.digest)?, number("suspects.losses", row.losses)?)))
            .collect()
    }

    pub(super) async fn acquit_components(&mut self, components: &[Digest]) -> Result<()> {
        if !components.is_empty() {
            run!(self, "acquit suspects", execute, "queries/acquit.sql", &bytes(components));
        }
        Ok(())
    }
}

fn bytes(digests: &[Digest]) -> Vec<Vec<u8>> {
    digests.iter().map(|digest| digest.as_bytes().to_vec()).collect()
}
