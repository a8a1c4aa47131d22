//! Guests 1, 2, 3, 8 and 18: those that only time ends.

use std::time::Duration;

use stepwright_workflow::FailureClass;

use crate::attack::{Attack, Expected, Step};
use crate::corpus::Component;

pub(super) fn handler() -> Vec<Attack> {
    vec![
        Step::hostile("spin").until_cpu("a loop", 100),
        Step::text("bulk_loop").until_cpu("8 MiB filled over and over", 100),
        Step::hostile("spin").until_timeout("a loop with a short timeout", 100),
        describe("a loop in 'describe'", "describe_loop"),
    ]
}

pub(super) fn start() -> Vec<Attack> {
    vec![
        Step::text("start_loop").until_cpu("a start function, in a step", 100),
        describe("a start function, at registration", "start_loop"),
    ]
}

pub(super) fn glue() -> Vec<Attack> {
    vec![
        Step::text("realloc_loop").until_cpu("cabi_realloc", 100),
        Step::text("post_loop").until_cpu("post-return", 100),
        Step::text("destructor_loop").until_cpu("a destructor", 100),
    ]
}

pub(super) fn drip() -> Vec<Attack> {
    vec![Step::hostile("dribble").until_timeout("a line now and then", 200)]
}

pub(super) fn waiting() -> Vec<Attack> {
    let wait = |kind: &str, n: u32| Step::hostile("wait").told(format!("{{\"kind\":\"{kind}\",\"n\":{n}}}"));
    vec![
        wait("sleep", 0).until_timeout("a sleep of thirty years", 100),
        wait("poll", 0).until_timeout("a wait for what never comes", 100),
        wait("poll_many", 100).until_timeout("a hundred of them at once", 100),
        wait("poll_busy", 0).until_cpu("a wait for nothing, over and over", 100),
        wait("poll_empty", 0).expect("a wait for none", Expected::failed(FailureClass::Trap, "interface")),
        wait("stdin", 0).expect("reads stdin", Expected::completed("0")),
    ]
}

/// `describe` has a limit of its own: see `tightened`.
fn describe(name: &str, text: &'static str) -> Attack {
    Attack::inspect(name, Component::Text(text), Expected::refused("describe", "CPU time"))
        .within(Duration::from_millis(500))
}
