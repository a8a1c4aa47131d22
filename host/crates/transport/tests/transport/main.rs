//! Every port behaves the same, and every message has one spelling.

mod golden;
mod hostile;
mod links;
mod ports;
mod samples;
