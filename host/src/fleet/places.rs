//! Where orchestrators are, and to which of them there should be a link. Pure: time and what is reachable are parameters.
//!
//! A place outlives the orchestrator that is there: a restarted one has another incarnation and the same endpoints. One
//! orchestrator may be reached in several ways; that it is one is known by its incarnation once it has said it, and by its
//! endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use stepwright_transport::wire::Peer;
use stepwright_worker::Heard;

use crate::config::Endpoint;

/// How long a place is kept that nobody tells of any more: an orchestrator that is restarted is back by then.
const GONE: Duration = Duration::from_secs(60);

/// What a link was told last.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Whether by the orchestrator at the link's own place, rather than by one that it has turned to meanwhile.
    pub(super) at_home: bool,
    pub(super) heard: Heard,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Make the way to a new place.
    Open(u64, Endpoint),
    /// Begin to work for the orchestrator there.
    Link(u64),
    /// Work for it no more, and forget the way.
    Close(u64),
}

#[derive(Debug)]
struct Place {
    /// It was told by the settings: it stays.
    configured: bool,
    /// Who was there last.
    incarnation: Option<String>,
    /// Everything that was said of where it is.
    endpoints: BTreeSet<String>,
    linked: bool,
    missing_since: Option<Instant>,
}

/// What does not change while a process runs.
#[derive(Debug)]
pub(super) struct Outlook {
    /// This machine's name.
    pub(super) host: String,
    /// Whether places are taken that were only heard of.
    pub(super) discover: bool,
    /// How many links there may be.
    pub(super) links_max: usize,
    /// Some text of this process's own: processes with few slots choose different places by it.
    pub(super) salt: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    outlook: Outlook,
    places: BTreeMap<u64, Place>,
    next: u64,
    /// Incarnations that refused us, or to which there is no way.
    shunned: BTreeSet<String>,
}

impl Places {
    /// With what the settings tell, and what is to be done for it.
    pub(super) fn new(outlook: Outlook, configured: &[Endpoint]) -> (Self, Vec<Change>) {
        let mut places = Self { outlook, places: BTreeMap::new(), next: 0, shunned: BTreeSet::new() };
        let mut changes = Vec::new();
        for endpoint in configured {
            let text = written(endpoint, &places.outlook.host);
            if !places.places.values().any(|place| place.endpoints.contains(&text)) {
                changes.push(places.open(endpoint.clone(), true, None, [text].into()));
            }
        }
        changes.extend(places.link());
        (places, changes)
    }

    /// Takes in what the links were told last, by place. `reachable` says whether there is anything at an endpoint.
    pub(super) fn hear(
        &mut self,
        said: &BTreeMap<u64, Said>,
        now: Instant,
        reachable: impl Fn(&Endpoint) -> bool,
    ) -> Vec<Change> {
        for (number, said) in said.iter().filter(|(_, said)| said.at_home) {
            if let Some(place) = self.places.get_mut(number).filter(|_| !said.heard.orchestrator.is_empty()) {
                place.incarnation = Some(said.heard.orchestrator.clone());
            }
        }
        let peers: BTreeMap<&str, &Peer> =
            said.values().flat_map(|said| &said.heard.peers).map(|peer| (&*peer.incarnation, peer)).collect();
        let mut changes = self.merge_twins();
        // Whoever hears nothing knows nothing: then nobody is missed either.
        if !peers.is_empty() && self.outlook.discover {
            let known = self.next;
            let listed: BTreeSet<u64> =
                peers.values().filter_map(|peer| self.find(peer, &reachable, &mut changes)).collect();
            // Places that were opened just now are not missed either.
            let missing = |number: &u64| *number < known && !listed.contains(number);
            changes.extend(self.miss(missing, now));
        }
        changes.extend(self.link());
        changes
    }

    /// The orchestrator there does not want us, or there is no way to it. Places from the settings are not given up.
    pub(super) fn shun(&mut self, number: u64) -> bool {
        let Some(place) = self.places.get_mut(&number) else { return false };
        if place.configured {
            place.linked = false;
            return false;
        }
        self.shunned.extend(place.incarnation.clone());
        self.places.remove(&number);
        true
    }

    /// Whether there is such a place still.
    pub(super) fn has(&self, number: u64) -> bool {
        self.places.contains_key(&number)
    }

    fn open(
        &mut self,
        endpoint: Endpoint,
        configured: bool,
        incarnation: Option<String>,
        endpoints: BTreeSet<String>,
    ) -> Change {
        let number = self.next;
        self.next += 1;
        let place = Place { configured, incarnation, endpoints, linked: false, missing_since: None };
        self.places.insert(number, place);
        Change::Open(number, endpoint)
    }

    /// The place of an orchestrator that was told of, which is opened if it is new and can be reached.
    fn find(
        &mut self,
        peer: &Peer,
        reachable: impl Fn(&Endpoint) -> bool,
        changes: &mut Vec<Change>,
    ) -> Option<u64> {
        let here = |place: &Place| {
            place.incarnation.as_ref() == Some(&peer.incarnation)
                || peer.endpoints.iter().any(|endpoint| place.endpoints.contains(endpoint))
        };
        if let Some((number, place)) = self.places.iter_mut().find(|(_, place)| here(place)) {
            place.endpoints.extend(peer.endpoints.iter().cloned());
            return Some(*number);
        }
        if self.shunned.contains(&peer.incarnation) {
            return None;
        }
        let mut ways = peer.endpoints.iter().filter_map(|endpoint| read(endpoint, &self.outlook.host));
        let way = ways.find(|way| reachable(way))?;
        let endpoints = peer.endpoints.iter().cloned().collect();
        let opened = self.open(way, false, Some(peer.incarnation.clone()), endpoints);
        let Change::Open(number, _) = &opened else { return None };
        let number = *number;
        changes.push(opened);
        Some(number)
    }

    /// Closes places that were only heard of and that nobody has told of for long.
    fn miss(&mut self, missing: impl Fn(&u64) -> bool, now: Instant) -> Vec<Change> {
        let mut gone = Vec::new();
        for (number, place) in self.places.iter_mut().filter(|(_, place)| !place.configured) {
            if !missing(number) {
                place.missing_since = None;
            } else if now.duration_since(*place.missing_since.get_or_insert(now)) >= GONE {
                gone.push(*number);
            }
        }
        gone.into_iter().filter_map(|number| self.close(number)).collect()
    }

    /// Closes places at which the same orchestrator was found as at an earlier one.
    fn merge_twins(&mut self) -> Vec<Change> {
        let mut seen = BTreeSet::new();
        let mut twins = Vec::new();
        for (number, place) in &self.places {
            let again = place.incarnation.as_ref().is_some_and(|incarnation| !seen.insert(incarnation));
            if again && !place.configured {
                twins.push(*number);
            }
        }
        twins.into_iter().filter_map(|number| self.close(number)).collect()
    }

    fn close(&mut self, number: u64) -> Option<Change> {
        self.places.remove(&number).map(|_| Change::Close(number))
    }

    /// Links to as many places as there may be links: first those of the settings, then by this process's own order.
    fn link(&mut self) -> Vec<Change> {
        let linked = self.places.values().filter(|place| place.linked).count();
        let free = self.outlook.links_max.saturating_sub(linked);
        let salt = &self.outlook.salt;
        let rank = |place: &Place| {
            let mut hasher = DefaultHasher::new();
            (salt, &place.endpoints).hash(&mut hasher);
            hasher.finish()
        };
        let waiting = self.places.iter().filter(|(_, place)| !place.linked);
        let mut waiting: Vec<(bool, u64, u64)> = waiting
            .map(|(number, place)| {
                (!place.configured, if place.configured { *number } else { rank(place) }, *number)
            })
            .collect();
        waiting.sort_unstable();
        let chosen: Vec<u64> = waiting.into_iter().take(free).map(|(_, _, number)| number).collect();
        for number in &chosen {
            if let Some(place) = self.places.get_mut(number) {
                place.linked = true;
            }
        }
        chosen.into_iter().map(Change::Link).collect()
    }
}

/// An endpoint as orchestrators tell of it: for a socket with the name of the machine, since only there it means something.
pub(crate) fn written(endpoint: &Endpoint, host: &str) -> String {
    match endpoint {
        Endpoint::Socket(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            format!("ipc://{host}{}", path.display())
        }
        gate @ Endpoint::Gate { .. } => gate.to_string(),
    }
}

/// The way to an endpoint from this machine, if it can be read here.
fn read(endpoint: &str, host: &str) -> Option<Endpoint> {
    let Some(socket) = endpoint.strip_prefix("ipc://") else {
        return Endpoint::parse(endpoint).filter(|endpoint| matches!(endpoint, Endpoint::Gate { .. }));
    };
    let path = socket.strip_prefix(host)?;
    path.starts_with('/').then(|| Endpoint::Socket(PathBuf::from(path)))
}

#[cfg(test)]
mod tests;
