//! Tests of whole systems.

mod cli;
mod flow;
mod model;
mod recovery;
mod script;
