//! Which orchestrators there are: this one says in the database that it is there, and tells its workers of all of them.
//!
//! Nothing rests on it. A worker that is not told goes on with those that it knows.

use std::time::Duration;

use stepwright_store::{NewOrchestrator, OrchestratorRecord, StoreError};
use stepwright_transport::wire::{OrchestratorHeartbeat, Peer, ToWorker};
use stepwright_workflow::{Payload, Timestamp, WorkerId};

use super::Orchestrator;
use crate::options::Listing;

/// How often an orchestrator says that it is there, in milliseconds. Two statements each time: few beside what a tick takes.
const ENROL_MS: i64 = 15_000;
/// How long one that is silent is still told of: four times as long.
const SILENT_MS: i64 = 60_000;
/// How long its row is kept, for people who look.
const KEPT_MS: i64 = 600_000;
/// When a worker has joined, or another orchestrator called, the list is read again if it is older than this: they may have started
/// together.
const FRESH_MS: i64 = 2_000;
/// How long the database may take: meanwhile no worker hears anything.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of the orchestrators.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// This one, if it is to be listed.
    me: Option<NewOrchestrator>,
    enrol_at: Timestamp,
    read_at: Timestamp,
    /// Somebody came since.
    pub(super) wanted: bool,
    /// The others were told that there is one more.
    called: bool,
    list: Vec<Peer>,
    /// Counted up whenever the list changes.
    version: u64,
}

impl Peers {
    pub(super) fn list(&self) -> (u64, Vec<Peer>) {
        (self.version, self.list.clone())
    }

    fn replace(&mut self, listed: Vec<OrchestratorRecord>, now: Timestamp) {
        let heard = listed.into_iter().filter(|record| now.0 - record.seen_at.0 < SILENT_MS);
        let list: Vec<Peer> = heard
            .filter(|record| !record.endpoints.is_empty())
            .map(|record| Peer { incarnation: record.incarnation, endpoints: record.endpoints })
            .collect();
        if list != self.list {
            self.list = list;
            self.version += 1;
        }
    }
}

impl Orchestrator {
    /// Has it listed among the orchestrators, so that workers and people find it.
    #[must_use]
    pub fn listed(mut self, listing: Listing) -> Self {
        self.peers.me = Some(NewOrchestrator {
            incarnation: self.options.incarnation.clone(),
            host: listing.host,
            pid: listing.pid,
            pump: listing.pump,
            pumps: listing.pumps,
            endpoints: listing.endpoints,
            started_at: self.clock.now(),
            totals: Payload::null(),
        });
        self
    }

    /// Says that it is there, and looks who else is, when it is time to. Between two rounds, which it must not hold up for long.
    pub(super) async fn stay_enrolled(&mut self) {
        if self.peers.me.is_none() {
            return;
        }
        let now = self.clock.now();
        let enrol = now >= self.peers.enrol_at;
        let read = enrol || (self.peers.wanted && now.0 - self.peers.read_at.0 >= FRESH_MS);
        if !read {
            return;
        }
        // Whatever comes of it, it is not tried again at once.
        (self.peers.wanted, self.peers.read_at) = (false, now);
        if enrol {
            self.peers.enrol_at = Timestamp(now.0 + ENROL_MS);
        }
        let listed = tokio::time::timeout(PATIENCE, self.enrol_and_look(enrol, now)).await;
        if enrol && !self.peers.called {
            // Nobody knows of it yet.
            self.peers.enrol_at = Timestamp(now.0 + FRESH_MS);
        }
        match listed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to keep the list of orchestrators; workers may not find this one");
            }
            Err(_) => tracing::warn!("the database took too long over the list of orchestrators"),
        }
    }

    async fn enrol_and_look(&mut self, enrol: bool, now: Timestamp) -> Result<(), StoreError> {
        if let (true, Some(me)) = (enrol, &mut self.peers.me) {
            // People and programs read there what it counts; numbers always make JSON.
            me.totals = Payload::of(&self.totals.read()).unwrap_or_else(|_| Payload::null());
            self.store.enrol(me, now).await?;
            self.call_once().await;
        }
        self.look_around(now).await
    }

    /// The others need not wait until they look by themselves.
    async fn call_once(&mut self) {
        if !std::mem::replace(&mut self.peers.called, true)
            && let Err(error) = self.store.announce().await
        {
            tracing::debug!(%error, "failed to call the other orchestrators; they look by themselves");
        }
    }

    async fn look_around(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let listed = self.store.orchestrators().await?;
        let kept_since = Timestamp(now.0 - KEPT_MS);
        if listed.iter().any(|record| record.seen_at < kept_since) {
            self.store.dismiss("", kept_since).await?;
        }
        self.peers.replace(listed, now);
        Ok(())
    }

    /// Takes itself off the list.
    pub(super) async fn dismiss(&mut self) {
        if self.peers.me.is_none() {
            return;
        }
        let kept_since = Timestamp(self.clock.now().0 - KEPT_MS);
        if let Err(error) = self.store.dismiss(&self.options.incarnation, kept_since).await {
            tracing::warn!(%error, "failed to take this orchestrator off the list; it goes by itself");
        }
    }

    /// A sign of life for every worker; with the list for those that were told another.
    pub(super) fn say_heartbeats(&mut self) {
        let (version, list) = self.peers.list();
        let mut heartbeats = Vec::new();
        for (worker, session) in self.sessions.iter_mut().filter(|(_, session)| session.connection.is_some())
        {
            let news = std::mem::replace(&mut session.peers_told, version) != version;
            heartbeats.push((worker, if news { list.clone() } else { Vec::new() }));
        }
        for (worker, peers) in heartbeats {
            self.send_to(worker, ToWorker::Heartbeat(OrchestratorHeartbeat { peers, offer: None }));
        }
    }

    /// A worker's offer counts once no round is under way that was begun with the one before: nothing beyond it is sent any more.
    pub(super) fn confirm_offers(&mut self) {
        if self.runner.is_none() {
            return;
        }
        for (worker, number) in std::mem::take(&mut self.offers) {
            let offer = Some(number);
            self.send_to(worker, ToWorker::Heartbeat(OrchestratorHeartbeat { peers: Vec::new(), offer }));
        }
    }

    pub(super) fn offered(&mut self, worker: WorkerId, number: u64) {
        self.offers.push((worker, number));
        self.confirm_offers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(incarnation: &str, seen_at: i64) -> OrchestratorRecord {
        OrchestratorRecord {
            incarnation: incarnation.to_owned(),
            host: "machine".to_owned(),
            pid: 1,
            pump: 1,
            pumps: 1,
            endpoints: vec![format!("ipc://machine/{incarnation}")],
            started_at: Timestamp(0),
            seen_at: Timestamp(seen_at),
            totals: Payload::null(),
            workers: 0,
        }
    }

    #[test]
    fn the_list_changes_only_when_somebody_comes_or_goes() {
        let mut peers = Peers::default();
        let told = |peers: &Peers| (peers.version, peers.list.len());
        peers.replace(vec![record("a", 0)], Timestamp(1));
        assert_eq!(told(&peers), (1, 1));
        peers.replace(vec![record("a", 15_000)], Timestamp(15_001));
        assert_eq!(told(&peers), (1, 1), "seen again is no news");
        peers.replace(vec![record("a", 15_000), record("b", 20_000)], Timestamp(20_000));
        assert_eq!(told(&peers), (2, 2));
        peers.replace(vec![record("a", 15_000), record("b", 70_000)], Timestamp(75_000));
        assert_eq!(told(&peers), (3, 1), "a has been silent for a minute");
        let nowhere = OrchestratorRecord { endpoints: Vec::new(), ..record("c", 75_000) };
        peers.replace(vec![record("b", 70_000), nowhere], Timestamp(75_000));
        assert_eq!(told(&peers), (3, 1), "nobody could go there");
    }
}
