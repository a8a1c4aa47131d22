//! Plugin `examples/shapes`: arithmetic over a DAG of any shape, so that the result at its end proves that
//! every output reached every child.
//!
//! Every number is taken modulo [`MODULUS`] (1,000,000,007). A step's **operands** are the values of its
//! direct parents; a step without parents has one operand, `n` of the task context. Then
//!
//! | handler | value |
//! |---|---|
//! | `start`, `sum` | Σ operands |
//! | `add` | Σ operands + `config.add` (default 0) + `config.index` (default 0) |
//! | `multiply` | Π operands × `config.by` (default 1) |
//! | `square` | (Σ operands)² |
//!
//! and each output is `{"value": …, "trail": […]}`, where the trail holds the step's own name and the trails
//! of all its parents, sorted, each name once: the names of all steps above it.
//!
//! `noop` is for benchmarks: `{"n": k}` from the task context, or the greatest `n` of its parents, gives
//! `{"ok": true, "n": k + 1, "from": "noop"}`; so `n` counts the depth of the DAG.

mod arithmetic;
mod counting;

pub use arithmetic::MODULUS;
use arithmetic::{add, multiply, square, start, sum};
use counting::noop;

stepwright_sdk::plugin! {
    name: "examples/shapes",
    summary: "Arithmetic that proves that every parent's output arrived, and a step that does nothing.",
    handlers: [start, sum, add, multiply, square, noop],
}
