//! Tests of whole systems.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say so and end"
)]

mod authors;
mod cli;
mod compile;
mod dev;
mod discovery;
mod disk;
mod docs;
mod doctor;
mod events;
mod external;
mod fleet;
mod flow;
mod gate;
mod grants;
mod hostile;
mod http;
mod idle;
mod ledger;
mod migration;
mod model;
mod oci;
mod operator;
mod partition;
mod pauses;
mod polyglot;
mod recovery;
mod registry;
mod retention;
mod script;
mod signatures;
mod simulation;
mod supply;
mod tutorial;
mod wit;
