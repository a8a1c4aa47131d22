//! What the tests of whole systems share: a random world of small graphs, a worker that is driven by a test, and real
//! processes of the binary.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say so and end"
)]

pub mod books;
pub mod disk;
pub mod http;
pub mod liar;
pub mod mixed;
pub mod model;
pub mod oci;
pub mod partition;
pub mod processes;
pub mod rig;
pub mod sim;
