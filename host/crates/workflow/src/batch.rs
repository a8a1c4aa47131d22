//! Packing: which claimed steps travel together, and to whom. Pure: the pump gives candidates and room, and gets batches.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::{Digest, StepId, WorkerId};

/// A step that could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The step.
    pub step: StepId,
    /// The component that will run it.
    pub digest: Digest,
    /// The external handler that will run it in place of a component.
    pub external: Option<&'a str>,
    /// What its context, configuration and parents' outputs weigh on the wire, in bytes.
    pub bytes: usize,
}

/// What a worker has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The worker.
    pub worker: WorkerId,
    /// Whether it runs components.
    pub wasm: bool,
    /// The external handlers that it runs.
    pub external: Arc<BTreeSet<String>>,
    /// How many more steps it takes.
    pub steps: usize,
    /// How many more bytes it takes.
    pub bytes: usize,
    /// Steps that it holds already: the emptier worker is served first.
    pub load: usize,
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Steps in one batch.
    pub steps_max: usize,
    /// Bytes of payload in one batch. A step that alone weighs more travels alone.
    pub bytes_max: usize,
}

/// Steps for one worker, by their index among the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The worker.
    pub worker: WorkerId,
    /// Indices into the candidates, in their order.
    pub steps: Vec<usize>,
}

impl Room {
    /// Whether the worker runs what this candidate wants.
    pub fn serves(&self, external: Option<&str>) -> bool {
        external.map_or(self.wasm, |handler| self.external.contains(handler))
    }
}

/// Deals candidates to workers that serve them: components first, then the steps of each external handler. See [`pack`].
pub fn deal(candidates: &[Candidate<'_>], rooms: &[Room], limits: BatchLimits) -> Vec<Packed> {
    let sandboxed = candidates.iter().all(|candidate| candidate.external.is_none());
    if sandboxed && rooms.iter().all(|room| room.wasm) {
        return pack(candidates, rooms, limits);
    }
    let mut kinds: Vec<Option<&str>> = candidates.iter().map(|candidate| candidate.external).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut rooms = rooms.to_vec();
    let mut dealt = Vec::new();
    for kind in kinds {
        let (places, wanted): (Vec<usize>, Vec<Candidate<'_>>) = candidates
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, candidate)| candidate.external == kind)
            .unzip();
        let serving: Vec<Room> = rooms.iter().filter(|room| room.serves(kind)).cloned().collect();
        for mut packed in pack(&wanted, &serving, limits) {
            if let Some(room) = rooms.iter_mut().find(|room| room.worker == packed.worker) {
                let bytes: usize = packed.steps.iter().map(|at| wanted[*at].bytes).sum();
                room.steps = room.steps.saturating_sub(packed.steps.len());
                room.bytes = room.bytes.saturating_sub(bytes);
                room.load += packed.steps.len();
            }
            packed.steps.iter_mut().for_each(|at| *at = places[*at]);
            dealt.push(packed);
        }
    }
    dealt
}

/// Deals candidates to workers, in the candidates' order, each to the worker with the most room at that moment; a batch is
/// closed when it is full. What nobody has room for is left out and stays claimable.
///
/// Steps are dealt in small hands rather than one by one, so that neighbours (often of one task and one plugin) travel
/// together, and the hand is small enough that no worker idles while another queues.
pub fn pack(candidates: &[Candidate<'_>], room: &[Room], limits: BatchLimits) -> Vec<Packed> {
    let mut room = room.to_vec();
    let hand = hand_size(candidates.len(), &room, limits);
    let mut open: HashMap<WorkerId, (Vec<usize>, usize)> = HashMap::new();
    let mut packed = Vec::new();
    let mut at = 0;
    while at < candidates.len() {
        let weight = candidates[at].bytes;
        let Some(chosen) = room
            .iter_mut()
            .filter(|room| room.steps > 0 && (room.bytes >= weight || room.load == 0))
            .min_by_key(|room| (room.load, room.worker))
        else {
            break;
        };
        let batch = open.entry(chosen.worker).or_default();
        let mut dealt = 0;
        while let Some(candidate) = candidates.get(at) {
            let fits = candidate.bytes <= chosen.bytes || chosen.load == 0;
            if dealt == hand || chosen.steps == 0 || !fits {
                break;
            }
            let full = batch.0.len() == limits.steps_max || batch.1 + candidate.bytes > limits.bytes_max;
            if full && !batch.0.is_empty() {
                packed.push(Packed { worker: chosen.worker, steps: std::mem::take(&mut batch.0) });
                batch.1 = 0;
            }
            batch.0.push(at);
            batch.1 += candidate.bytes;
            chosen.steps -= 1;
            chosen.load += 1;
            chosen.bytes = chosen.bytes.saturating_sub(candidate.bytes);
            at += 1;
            dealt += 1;
        }
    }
    let mut rest: Vec<Packed> = open
        .into_iter()
        .filter(|(_, (steps, _))| !steps.is_empty())
        .map(|(worker, (steps, _))| Packed { worker, steps })
        .collect();
    rest.sort_by_key(|packed| packed.worker);
    packed.extend(rest);
    packed
}

fn hand_size(candidates: usize, room: &[Room], limits: BatchLimits) -> usize {
    let workers = room.iter().filter(|room| room.steps > 0).count().max(1);
    candidates.div_ceil(workers * 4).clamp(1, limits.steps_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: BatchLimits = BatchLimits { steps_max: 64, bytes_max: 1_000 };

    fn candidates(weights: &[usize]) -> Vec<Candidate<'static>> {
        let digest = Digest::of(b"plugin");
        let candidate =
            |(n, bytes): (i64, &usize)| Candidate { step: StepId(n), digest, external: None, bytes: *bytes };
        (0..).zip(weights).map(candidate).collect()
    }

    fn room(worker: i64, steps: usize, bytes: usize, load: usize) -> Room {
        Room { worker: WorkerId(worker), wasm: true, external: Arc::default(), steps, bytes, load }
    }

    #[test]
    fn each_step_goes_to_a_worker_that_serves_it() {
        let serving = |worker: i64, wasm: bool, handlers: &[&str]| Room {
            wasm,
            external: Arc::new(handlers.iter().map(|name| (*name).to_owned()).collect()),
            ..room(worker, 2, 1_000, 0)
        };
        let rooms =
            [serving(1, true, &[]), serving(2, false, &["charge"]), serving(3, true, &["charge", "mail"])];
        let kinds = [None, Some("charge"), Some("mail"), None, Some("charge"), Some("fax"), None, None, None];
        let mut steps = candidates(&[1; 9]);
        for (step, kind) in steps.iter_mut().zip(kinds) {
            step.external = kind;
        }
        let dealt = deal(&steps, &rooms, LIMITS);
        let mut left = vec![2_usize; rooms.len()];
        for Packed { worker, steps } in &dealt {
            let place = rooms.iter().position(|room| room.worker == *worker).unwrap();
            left[place] -= steps.len();
            assert!(steps.iter().all(|at| rooms[place].serves(kinds[*at])), "{dealt:?}");
            assert!(steps.windows(2).all(|pair| kinds[pair[0]] == kinds[pair[1]]), "{dealt:?}");
        }
        // Four components fill both that run them, so 'mail' has nobody; 'charge' has the second worker.
        assert_eq!(left, [0, 0, 0], "{dealt:?}");
        let placed: Vec<usize> = dealt.iter().flat_map(|packed| packed.steps.clone()).collect();
        assert!(!placed.contains(&2) && !placed.contains(&5), "{dealt:?}");
        assert!(placed.contains(&1) && placed.contains(&4), "{dealt:?}");
    }

    #[test]
    fn nothing_is_sent_where_there_is_no_room() {
        assert_eq!(pack(&candidates(&[1, 1]), &[], LIMITS), []);
        assert_eq!(pack(&candidates(&[1]), &[room(1, 0, 1_000, 5)], LIMITS), []);
    }

    #[test]
    fn a_step_heavier_than_all_room_still_travels_to_an_idle_worker() {
        let packed = pack(&candidates(&[5_000, 1]), &[room(1, 4, 1_000, 0)], LIMITS);
        assert_eq!(packed[0].steps, [0]);
    }

    proptest! {
        #[test]
        fn each_candidate_is_dealt_at_most_once_and_within_every_limit(
            weights in prop::collection::vec(0_usize..400, 0..300),
            rooms in prop::collection::vec((0_usize..200, 0_usize..20_000, 0_usize..50), 0..6),
        ) {
            let rooms: Vec<Room> = (1..).zip(&rooms).map(|(n, (steps, bytes, load))| room(n, *steps, *bytes, *load)).collect();
            let packed = pack(&candidates(&weights), &rooms, LIMITS);
            let mut dealt: Vec<usize> = packed.iter().flat_map(|packed| packed.steps.clone()).collect();
            let count = dealt.len();
            dealt.sort_unstable();
            dealt.dedup();
            prop_assert_eq!(dealt.len(), count);
            // In order: what is left out comes after everything that was dealt.
            prop_assert_eq!(dealt, (0..count).collect::<Vec<_>>());
            for packed in &packed {
                let bytes: usize = packed.steps.iter().map(|at| weights[*at]).sum();
                prop_assert!(!packed.steps.is_empty() && packed.steps.len() <= LIMITS.steps_max);
                prop_assert!(bytes <= LIMITS.bytes_max || packed.steps.len() == 1);
            }
            for room in &rooms {
                let got: usize = packed.iter().filter(|p| p.worker == room.worker).map(|p| p.steps.len()).sum();
                prop_assert!(got <= room.steps);
            }
        }
    }
}
