//! Connections that have not shown a token yet: few, and for a short time.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::GREETINGS_MAX;

/// Everybody that is at the gate and not inside.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// By the order in which they came: their network, and what tells them that their place is taken.
    places: BTreeMap<u64, (IpAddr, CancellationToken)>,
    next: u64,
}

impl Arrivals {
    /// A place for one more. If there is none, the oldest of the network that has most of them loses its own: whoever floods
    /// the gate floods out its own connections.
    pub(super) fn arrive(&self, from: IpAddr, deadline: Instant) -> Arrival {
        let mut waiting = self.waiting();
        if waiting.places.len() >= GREETINGS_MAX {
            waiting.push_out();
        }
        let (number, displaced) = (waiting.next, CancellationToken::new());
        waiting.next += 1;
        waiting.places.insert(number, (network(from), displaced.clone()));
        drop(waiting);
        Arrival { arrivals: self.clone(), number, displaced, deadline }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push_out(&mut self) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (network, _) in self.places.values() {
            *counts.entry(*network).or_default() += 1;
        }
        let crowd = counts.into_iter().max_by_key(|(_, count)| *count).map(|(network, _)| network);
        let oldest = self.places.iter().find(|(_, (network, _))| Some(*network) == crowd);
        if let Some(number) = oldest.map(|(number, _)| *number)
            && let Some((_, displaced)) = self.places.remove(&number)
        {
            displaced.cancel();
        }
    }
}

/// What counts as one peer: an IPv4 address, or the half of an IPv6 address that a customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    arrivals: Arrivals,
    number: u64,
    displaced: CancellationToken,
    deadline: Instant,
}

impl Arrival {
    /// Waits for a part of the greeting, or says why no longer.
    pub(super) async fn within<T>(&self, part: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        tokio::select! {
            () = self.displaced.cancelled() => Err("too many others are at the gate; try again".to_owned()),
            done = timeout_at(self.deadline, part) => {
                done.unwrap_or_else(|_| Err("the first line took too long".to_owned()))
            }
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.arrivals.waiting().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_flood_displaces_only_its_own() {
        let arrivals = Arrivals::default();
        let deadline = Instant::now() + Duration::from_secs(60);
        let honest = arrivals.arrive(ip("10.0.0.1"), deadline);
        let flood: Vec<Arrival> = (0..1_000)
            .map(|number| arrivals.arrive(ip(&format!("2001:db8::{number:x}")), deadline))
            .collect();
        let displaced = flood.iter().filter(|arrival| arrival.displaced.is_cancelled()).count();
        assert_eq!(displaced, 1_001 - GREETINGS_MAX);
        assert!(flood.last().is_some_and(|last| !last.displaced.is_cancelled()));
        assert_eq!(honest.within(async { Ok(()) }).await, Ok(()));
        let late = flood[0].within(std::future::pending::<Result<(), _>>()).await;
        assert_eq!(late, Err("too many others are at the gate; try again".to_owned()));
        drop((honest, flood));
        assert!(arrivals.waiting().places.is_empty());
    }

    #[test]
    fn a_network_is_an_address_or_half_of_a_long_one() {
        assert_eq!(network(ip("2001:db8::1:2:3:4")), network(ip("2001:db8::9")));
        assert_ne!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8:0:2::1")));
        assert_eq!(network(ip("::ffff:10.0.0.1")), network(ip("10.0.0.1")));
        assert_ne!(network(ip("10.0.0.1")), network(ip("10.0.0.2")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_has_an_end() {
        let arrival = Arrivals::default().arrive(ip("10.0.0.1"), Instant::now() + Duration::from_secs(5));
        let late = arrival.within(std::future::pending::<Result<(), _>>()).await;
        assert_eq!(late, Err("the first line took too long".to_owned()));
    }
}
