//! Workers that come, stay and go.

use std::collections::BTreeSet;

use stepwright_store::{NewWorker, StoreError, WorkerState};
use stepwright_transport::wire::Hello;
use stepwright_workflow::{BatchId, StepId, Timestamp, WorkerId};

use super::{RoundInput, Work};

impl Work<'_> {
    pub(super) async fn workers(&mut self, input: &RoundInput) -> Result<(), StoreError> {
        let lease_until = self.now.after(self.options.lease());
        let mut leaving = input.leaves.clone();
        if input.look.expired {
            let expired = self.tx.expired(self.now).await?;
            let alive: Vec<WorkerId> =
                expired.iter().filter(|worker| input.alive.contains(worker)).copied().collect();
            self.renew(&alive, lease_until).await?;
            // Whoever could not be renewed is another orchestrator's, which has let it go too.
            let renewed: BTreeSet<WorkerId> = self.out.renewed.iter().map(|(worker, _)| *worker).collect();
            let lost = expired.into_iter().filter(|worker| !renewed.contains(worker));
            leaving.extend(lost.map(|worker| (worker, WorkerState::Lost)));
        }
        self.out.gone = self.tx.leave(&leaving, &self.options.incarnation, self.now).await?;
        let vanished =
            leaving.iter().filter(|(_, state)| *state == WorkerState::Lost).map(|(worker, _)| *worker);
        self.vanished = vanished.collect();
        self.renew(&input.renewals, lease_until).await?;
        for (worker, until) in &input.shortened {
            self.renew(&[*worker], *until).await?;
        }
        for (connection, hello) in &input.joins {
            let worker = self.join(hello, lease_until).await?;
            let kept = self.kept(worker, hello).await?;
            self.out.joined.push((*connection, hello.clone(), worker, lease_until, kept));
        }
        Ok(())
    }

    async fn renew(&mut self, workers: &[WorkerId], until: Timestamp) -> Result<(), StoreError> {
        if workers.is_empty() {
            return Ok(());
        }
        let renewed = self.tx.renew(workers, &self.options.incarnation, until, self.now).await?;
        self.out.renewed.extend(renewed.into_iter().map(|worker| (worker, until)));
        Ok(())
    }

    async fn join(&mut self, hello: &Hello, lease_until: Timestamp) -> Result<WorkerId, StoreError> {
        let worker = NewWorker {
            name: hello.name.clone(),
            incarnation: hello.incarnation.clone(),
            host: hello.host.clone(),
            pid: hello.pid,
            slots: hello.slots,
            orchestrator: self.options.incarnation.clone(),
        };
        self.tx.join(&worker, lease_until, self.now).await
    }

    /// Which of the held batches are still the worker's; open ones that it does not hold are lost.
    async fn kept(
        &mut self,
        worker: WorkerId,
        hello: &Hello,
    ) -> Result<Vec<(BatchId, Vec<(StepId, u32)>)>, StoreError> {
        let mut kept = Vec::new();
        let mut forgotten = Vec::new();
        for open in self.tx.open_batches(worker).await? {
            let promised = hello.held.contains(&open.batch)
                || hello.unacknowledged.iter().any(|key| key.batch == open.batch);
            if !promised {
                self.lose_batch(open, "its worker came back without it", &mut forgotten);
                continue;
            }
            if let Some(entry) = self.held(open.batch).await? {
                let unreported = entry.steps.iter().filter(|(_, digest)| digest.is_none());
                kept.push((open.batch, unreported.map(|(pair, _)| *pair).collect()));
                if self.book.get(open.batch).is_none() {
                    self.opened.push((open.batch, entry));
                }
            }
        }
        self.lose(&forgotten, "its worker came back without it").await?;
        Ok(kept)
    }
}
