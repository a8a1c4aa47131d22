//! Every port behaves the same, and every message has one spelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a wrong port is a failed test")]

mod certificates;
mod gate;
mod golden;
mod hostile;
mod links;
mod ports;
mod samples;
mod siege;
