//! Components that may be killing workers.
//!
//! A worker that is gone cannot say what it died of. But of a component that kills whoever runs it nothing ever completes, while
//! of an innocent one something soon does. So losses are counted in a row, a step that completes sets the count back to nothing,
//! and at the limit the component is paused by its digest, for a person to look at.

use stepwright_store::{LeasedStep, PauseRecord, StoreError};
use stepwright_workflow::Digest;
use stepwright_workflow::pause::PauseTarget;

use super::Work;
use crate::plans::PlanEntry;

/// Who pauses a component that keeps killing workers.
const WHO: &str = "stepwright";

impl Work<'_> {
    /// Notes what a lost worker held.
    pub(super) fn implicate(&mut self, leased: &LeasedStep, entry: &PlanEntry) -> Result<(), StoreError> {
        if self.vanished_batches.contains(&leased.key.batch) {
            self.implicated.insert(entry.step(leased.key.step)?.digest);
        }
        Ok(())
    }

    /// Clears whoever completed a step, counts whoever was held by a lost worker, and quarantines at the limit.
    pub(super) async fn suspicions(&mut self) -> Result<(), StoreError> {
        let cleared: Vec<Digest> = std::mem::take(&mut self.cleared).into_iter().collect();
        self.tx.acquit(&cleared).await?;
        self.out.acquitted = cleared;
        let implicated: Vec<Digest> = std::mem::take(&mut self.implicated).into_iter().collect();
        // Workers that are lost within one lease of each other are one event: a network that failed, a machine that went.
        let not_since = self.now.before(self.options.lease());
        for (digest, losses) in self.tx.suspect(&implicated, not_since, self.now).await? {
            if self.options.quarantine_losses > 0 && losses >= self.options.quarantine_losses {
                self.quarantine(digest, losses).await?;
            }
        }
        self.out.suspected = implicated;
        Ok(())
    }

    async fn quarantine(&mut self, digest: Digest, losses: u32) -> Result<(), StoreError> {
        let why = format!(
            "quarantined: workers were lost {losses} times in a row while they held its steps, and none of them completed in between"
        );
        let pause = PauseRecord {
            target: PauseTarget::Digest(digest),
            since: self.now,
            who: WHO.to_owned(),
            why: why.clone(),
        };
        if self.tx.pause(&pause).await? {
            tracing::error!(%digest, why, "a plugin was quarantined; 'stepwright resume digest {digest}' lets it go on");
            self.out.counts.quarantined += 1;
        }
        Ok(())
    }
}
