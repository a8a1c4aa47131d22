//! The second half of the dual result protocol: a batch's closing list against what was applied from its partial results.

use std::collections::BTreeMap;

use crate::{Digest, StepId};

/// One line of a batch completion, or of what was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// The fingerprint of the outcome, status included.
    pub digest: Digest,
}

/// What comparing a completion with the applied outcomes shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Reported as ended, but no outcome came: to be asked for again.
    pub missing: Vec<(StepId, u32)>,
    /// Applied with one outcome, listed with another: the applied one stands.
    pub different: Vec<(StepId, u32)>,
    /// Listed, but never part of this batch.
    pub foreign: Vec<(StepId, u32)>,
    /// Part of this batch, but not listed: the worker forgot them, so their lease is lost.
    pub unlisted: Vec<(StepId, u32)>,
}

impl Reconciled {
    /// The completion says exactly what was applied.
    pub fn is_equal(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares what the batch held (`None` where no outcome was applied) with the completion's list.
pub fn reconcile(held: &BTreeMap<(StepId, u32), Option<Digest>>, listed: &[Reported]) -> Reconciled {
    let mut result = Reconciled::default();
    let mut unlisted: BTreeMap<(StepId, u32), ()> = held.keys().map(|key| (*key, ())).collect();
    for line in listed {
        let key = (line.step, line.attempt);
        unlisted.remove(&key);
        match held.get(&key) {
            None => result.foreign.push(key),
            Some(None) => result.missing.push(key),
            Some(Some(applied)) if *applied != line.digest => result.different.push(key),
            Some(Some(_)) => {}
        }
    }
    result.unlisted = unlisted.into_keys().collect();
    result.unlisted.sort_unstable();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_has_its_own_list() {
        let digest = Digest::of(b"a");
        let key = |n| (StepId(n), 1);
        let held = BTreeMap::from([
            (key(1), Some(digest)),
            (key(2), None),
            (key(3), Some(Digest::of(b"b"))),
            (key(4), None),
        ]);
        let line = |n| Reported { step: StepId(n), attempt: 1, digest };
        let got = reconcile(&held, &[line(1), line(2), line(3), line(9)]);
        let expect = Reconciled {
            missing: vec![key(2)],
            different: vec![key(3)],
            foreign: vec![key(9)],
            unlisted: vec![key(4)],
        };
        assert_eq!(got, expect);
        assert!(reconcile(&BTreeMap::from([(key(1), Some(digest))]), &[line(1)]).is_equal());
    }
}
