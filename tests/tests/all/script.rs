//! Random graphs of up to twelve steps with scripted endings.

use proptest::prelude::*;
use stepwright_tests::model::{Ending, Script};

pub(crate) fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        4 => Just(Ending::Complete),
        3 => Just(Ending::Retryable),
        1 => Just(Ending::Permanent),
        1 => Just(Ending::Vanish),
    ]
}

pub(crate) fn script() -> impl Strategy<Value = Script> {
    (1_usize..=12, 1_u32..=3).prop_flat_map(|(steps, retry_limit)| {
        let parents: Vec<_> =
            (0..steps).map(|step| prop::collection::vec(prop::bool::weighted(0.3), step)).collect();
        let endings = prop::collection::vec(prop::collection::vec(ending(), 0..4), steps);
        (parents, endings).prop_map(move |(chosen, endings)| {
            let parents = chosen
                .iter()
                .map(|row| (0_u16..).zip(row).filter(|(_, is)| **is).map(|(at, _)| at).collect());
            Script { parents: parents.collect(), endings, retry_limit }
        })
    })
}
