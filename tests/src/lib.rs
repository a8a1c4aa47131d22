//! What the tests of whole systems share: a random world of small graphs, a worker that is driven by a test, and real
//! processes of the binary.

pub mod model;
pub mod processes;
pub mod rig;
