//! The HTTP API: tasks, templates, plugins and tokens for programs in any language, under `/v1`.
//!
//! ```text
//!   connection ─▶ TLS ─▶ HTTP/1.1 ─▶ request id ─▶ token, scope, rate ─▶ route ─▶ store · orchestrator · host
//!                                                                          └─▶ the same list makes the document
//! ```
//!
//! A route is said once: its method, path, scope, handler, parameters and answers; the OpenAPI document is made from that. What
//! goes out are values of their own (`view`), so that a change of a record is no change of the API. This crate knows no SQL, no
//! ZeroMQ, no WebAssembly and no command line: what needs those is the [`Host`]'s.

mod access;
mod app;
mod code;
mod extract;
mod limit;
mod openapi;
mod options;
mod problem;
mod route;
mod routes;
mod server;
pub mod view;

pub use access::{Access, Caller};
pub use app::{Host, Parts, RegisterError, Secret, Upload};
pub use code::Code;
pub use openapi::document;
pub use options::ApiOptions;
pub use problem::{FieldError, Problem};
pub use server::{Acceptor, Api, listen};

/// Every route: its method, its path, and what it needs.
pub fn table() -> Vec<(String, &'static str, Access)> {
    routes::all().iter().map(|route| (route.method.to_string(), route.path, route.access)).collect()
}
