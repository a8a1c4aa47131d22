//! What the links of one process share: its slots, and how many steps they may hold together.
//!
//! A slot is taken for an attempt and given back after it, whichever link it came through. Credit is divided: each link offers
//! its orchestrator a fair part of the whole, and what an orchestrator may still use is offered to nobody else. So the links
//! together never hold more than the process was said to have room for, also while their number changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::options::WorkerOptions;

/// The slots and the credit of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: Arc<Semaphore>,
    slots_max: u32,
    credit: u32,
    credit_bytes: u64,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    next: u64,
    /// Credit that each link's orchestrator may use, by the order in which the links came.
    reserved: BTreeMap<u64, u32>,
}

/// One link's part of a [`Pool`]. It is given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shared: Arc<Shared>,
    number: u64,
}

impl Pool {
    /// As many slots and as much credit as the options say.
    pub fn new(options: &WorkerOptions) -> Self {
        let links = Mutex::new(Links::default());
        Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(options.slots())),
            slots_max: options.slots.max(1),
            credit: options.credit,
            credit_bytes: options.credit_bytes,
            links,
        }))
    }

    /// How many links make sense: each must be able to run a step of its own, and to hold one.
    pub fn links_max(&self) -> usize {
        usize::try_from(self.0.slots_max.min(self.0.credit)).unwrap_or(usize::MAX).max(1)
    }

    /// A part for one more link. It has no credit until it asks for some.
    pub fn link(&self) -> Share {
        let mut links = self.0.links();
        let number = links.next;
        links.next += 1;
        links.reserved.insert(number, 0);
        Share { shared: Arc::clone(&self.0), number }
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    /// A link's part if all have the same; the first ones get what is left over.
    fn fair(&self, number: u64, whole: u32) -> u32 {
        let links = u32::try_from(self.reserved.len()).unwrap_or(u32::MAX).max(1);
        let before = u32::try_from(self.reserved.range(..number).count()).unwrap_or(u32::MAX);
        whole / links + u32::from(before < whole % links)
    }
}

impl Share {
    /// Takes what is free, up to the fair part. Returns what to offer: never more than the fair part, even if more is still
    /// reserved.
    pub(crate) fn grow(&self) -> u32 {
        let mut links = self.shared.links();
        let fair = links.fair(self.number, self.shared.credit);
        let all: u32 = links.reserved.values().sum();
        let free = self.shared.credit.saturating_sub(all);
        let Some(reserved) = links.reserved.get_mut(&self.number) else { return 0 };
        *reserved = (*reserved).max(fair.min(*reserved + free));
        fair.min(*reserved)
    }

    /// Gives back what is reserved beyond this.
    pub(crate) fn shrink(&self, to: u32) {
        if let Some(reserved) = self.shared.links().reserved.get_mut(&self.number) {
            *reserved = (*reserved).min(to);
        }
    }

    /// Steps that the orchestrator may have sent, or may send.
    pub(crate) fn reserved(&self) -> u32 {
        self.shared.links().reserved.get(&self.number).copied().unwrap_or(0)
    }

    /// The part of the slots, for the orchestrator's idea of how fast this link is: at least one.
    pub(crate) fn slots(&self) -> u32 {
        self.shared.links().fair(self.number, self.shared.slots_max).max(1)
    }

    /// The bytes that go with so much credit.
    pub(crate) fn bytes(&self, credit: u32) -> u64 {
        let whole = u128::from(self.shared.credit.max(1));
        let part = u128::from(self.shared.credit_bytes) * u128::from(credit) / whole;
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    /// Slots of the process that run nothing.
    pub(crate) fn slots_free(&self) -> usize {
        self.shared.slots.available_permits()
    }

    /// The slots themselves.
    pub(crate) fn semaphore(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.slots)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.links().reserved.remove(&self.number);
    }
}

/// A slot of the process, while an attempt runs in it.
pub(crate) type Slot = OwnedSemaphorePermit;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(credit: u32) -> Pool {
        Pool::new(&WorkerOptions { credit, ..WorkerOptions::new("w", "i", 4) })
    }

    #[test]
    fn a_lone_link_has_everything() {
        let link = pool(10).link();
        assert_eq!((link.grow(), link.slots(), link.bytes(10)), (10, 4, 64 << 20));
    }

    #[test]
    fn fair_parts_add_up_to_the_whole() {
        for links in 1..=4 {
            let pool = pool(10);
            let links: Vec<Share> = (0..links).map(|_| pool.link()).collect();
            assert_eq!(links.iter().map(Share::grow).sum::<u32>(), 10);
            assert_eq!(links.iter().map(Share::slots).sum::<u32>(), 4);
        }
    }

    #[test]
    fn a_new_link_gets_only_what_the_others_have_given_back() {
        let pool = pool(10);
        let first = pool.link();
        assert_eq!(first.grow(), 10);
        let second = pool.link();
        assert_eq!(second.grow(), 0, "the first one's orchestrator may use all of it");
        assert_eq!((first.grow(), first.reserved()), (5, 10), "offered is the fair part, reserved what was");
        first.shrink(7);
        assert_eq!(second.grow(), 3);
        first.shrink(5);
        assert_eq!(second.grow(), 5);
        drop(first);
        assert_eq!(second.grow(), 10);
    }

    #[test]
    fn no_order_of_events_reserves_more_than_there_is() {
        let mut random = 7_u64;
        let mut below = |n: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(random >> 33).unwrap_or(0) % n
        };
        let pool = pool(13);
        let mut links: Vec<Share> = Vec::new();
        for _ in 0..10_000 {
            let links_now = u32::try_from(links.len()).unwrap_or(0);
            match below(8) {
                0 if links.len() < 4 => links.push(pool.link()),
                1 if !links.is_empty() => drop(links.swap_remove(below(links_now) as usize)),
                _ if links.is_empty() => {}
                choice => {
                    let link = &links[below(links_now) as usize];
                    if choice < 5 {
                        assert!(link.grow() <= link.reserved());
                    } else {
                        link.shrink(below(14));
                    }
                }
            }
            assert!(links.iter().map(Share::reserved).sum::<u32>() <= 13);
        }
    }
}
