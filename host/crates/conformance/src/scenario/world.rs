//! Guests 13 to 17: out of the sandbox, into files and the network.

use crate::attack::{Attack, Expected, Step};

pub(super) fn escape() -> Vec<Attack> {
    vec![Step::hostile("escape").expect("nothing granted", Expected::completed("[]"))]
}

pub(super) fn disk() -> Vec<Attack> {
    let fill = |kind: &str| Step::hostile("fill").told(format!("{{\"kind\":\"{kind}\"}}"));
    vec![fill("one").expect("nothing granted", Expected::completed("[]"))]
}

pub(super) fn network() -> Vec<Attack> {
    vec![Step::hostile("dial").expect("sockets", Expected::completed("[]"))]
}

pub(super) fn responses() -> Vec<Attack> {
    Vec::new()
}

pub(super) fn requests() -> Vec<Attack> {
    Vec::new()
}
