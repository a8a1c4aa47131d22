//! Tests of whole systems.

mod model;
mod script;
