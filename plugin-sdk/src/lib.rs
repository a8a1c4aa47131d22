//! Write [Stepwright](https://github.com/stepwright/stepwright) step handlers in Rust.
//!
//! A handler is an ordinary function from the task context to an output. The attribute makes it a step
//! that templates can name, and [`plugin!`] makes the crate a plugin:
//!
//! ```
//! use stepwright_sdk::prelude::*;
//!
//! /// What the task was started with, as far as this step reads it.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Order {
//!     order_id: String,
//!     quantities: Vec<u32>,
//! }
//!
//! /// What the step gives to the steps after it.
//! #[derive(Serialize, JsonSchema)]
//! struct Validated {
//!     items: u32,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Limits {
//!     items_max: u32,
//! }
//!
//! /// Checks that the order can be fulfilled.
//! #[handler(config = Limits)]
//! fn validate_order(order: Order, ctx: &Context) -> StepResult<Validated> {
//!     let limits: Limits = ctx.config()?;
//!     let items = order.quantities.iter().sum();
//!     if items == 0 {
//!         return Err(permanent("the order is empty").code("empty_order"));
//!     }
//!     if items > limits.items_max {
//!         return Err(permanent(format!("{items} items, at most {}", limits.items_max)).code("too_many_items"));
//!     }
//!     info!(ctx, "order {} is fine", order.order_id; items = items);
//!     Ok(Validated { items })
//! }
//!
//! plugin! {
//!     name: "examples/orders",
//!     summary: "Checks orders.",
//!     handlers: [validate_order],
//! }
//!
//! // In a `#[test]`, on the host, with no WASM in sight:
//! use stepwright_sdk::testing::TestContext;
//!
//! let test = TestContext::new().config(json!({ "items_max": 10 }));
//! let order = Order { order_id: "A-1".into(), quantities: vec![2, 3] };
//! assert_eq!(test.run(validate_order, order)?.items, 5);
//! assert_eq!(test.logs()[0].message, "order A-1 is fine");
//!
//! let error = test.call::<Plugin>("validate_order", json!({ "order_id": "A-2" })).unwrap_err();
//! assert_eq!(error.code.as_deref(), Some("invalid_input"));
//! # Ok::<(), StepError>(())
//! ```
//!
//! # Making a plugin
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! serde = { version = "1", features = ["derive"] }
//! stepwright-sdk = "0.1"
//!
//! [profile.release]           # a component of about 100 KB instead of 300
//! opt-level = "s"
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = true
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` builds the component; `cargo test` tests it natively.
//!
//! # Failing
//!
//! A handler fails with a [`StepError`], built by [`retryable`] (another attempt may mend it) or
//! [`permanent`] (none will). The `?` operator works on any [`std::error::Error`] and gives a
//! **retryable** failure, since most such errors come from the world outside and the retry limit ends the
//! others; [`OrFail`] says otherwise in place: `text.parse::<u32>().or_permanent("the quantity is no number")?`.
//! A panic is reported as a trap, with its message.
//!
//! What the SDK itself refuses is permanent and has a code: `invalid_input`, `invalid_config`,
//! `invalid_parent_output`, `unknown_parent`, `invalid_output`, `secret_not_granted`, `unknown_handler`.

// The macros name this crate as their users do; its own tests use them too.
extern crate self as stepwright_sdk;

mod context;
mod error;
mod handler;
mod host;
pub mod http;
mod log;
mod payload;

#[cfg(not(target_family = "wasm"))]
pub mod testing;

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod guest_http;

pub use context::{Context, Parent};
pub use error::{FailureClass, OrFail, StepError, StepResult, permanent, retryable};
pub use handler::{Handler, HandlerEntry, ParentSchema, PluginDefinition, Schemas, Wishes};
pub use host::Secret;
pub use log::Level;
pub use payload::RawJson;

/// Makes a function a handler.
///
/// The function takes its input by value and the [`Context`] by reference; either may be left out:
/// `fn(Input, &Context)`, `fn(Input)`, `fn(&Context)` or `fn()`. The input is the task context, the output
/// is what [`StepResult`] (or any `Result` whose error converts into [`StepError`]) holds. Input and output
/// derive `JsonSchema`, so that templates can be checked; [`RawJson`] and `serde_json::Value` stand for any JSON.
///
/// The first paragraph of the doc comment is the handler's summary.
///
/// Options: `#[handler(name = "other_name", config = Type)]`. Without `name` the handler is called as the
/// function is. With `config` the description says what the step's configuration must look like; the
/// function reads it with [`Context::config`].
///
/// `#[handler(parents(validate_order: Validated, fraud: Option<FraudScore>))]` says which direct parents the function reads
/// with [`Context::parent`], by step name, and as what. A template in which such a parent is not there, or gives something
/// else, is refused when it is registered. One that is an `Option` may be missing: [`Context::optional_parent`] reads it.
pub use stepwright_sdk_macros::handler;

/// Makes the crate a plugin: lists its handlers and exports the component's functions.
///
/// ```
/// # use stepwright_sdk::prelude::*;
/// # mod orders { use stepwright_sdk::prelude::*; #[handler] pub fn ship() -> StepResult<u8> { Ok(1) } }
/// plugin! {
///     name: "examples/shop",             // namespace/name
///     version: "1.2.0",                  // the crate's version if left out
///     summary: "Sells things.",
///     wishes: {                          // what the operator should grant; all optional
///         hosts: ["https://bank.example:443"],
///         directories: [],
///         environment: [],
///         secrets: ["gateway_key"],
///     },
///     handlers: [orders::ship],
/// }
/// ```
///
/// It defines a public type `Plugin` for [`testing`]. Two handlers of one name do not compile.
pub use stepwright_sdk_macros::plugin;

pub use schemars;
pub use serde_json;

/// All that a handler file needs: `use stepwright_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Context, FailureClass, Level, OrFail, Parent, RawJson, Secret, StepError, StepResult, debug, error,
        handler, info, permanent, plugin, retryable, trace, warn,
    };
    pub use schemars::{self, JsonSchema};
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{self, Value, json};
}

/// What the macros' output calls. Not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::names_are_unique;
    pub use crate::payload::{
        StepInput, StepOutput, StepReturn, config_schema, finish, output_schema, parent,
    };
}

/// The bindings, where the `export` macro looks for them. Not for people.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use guest::bindings as __bindings;
