//! The SDK as an author meets it: handlers of every shape, what they are told, and how they fail.

// The crate is the plugin under test; its handlers are public as a plugin's may be.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use stepwright_sdk::prelude::*;
use stepwright_sdk::testing::TestContext;
use stepwright_sdk::{HandlerEntry, PluginDefinition};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    order_id: String,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Item {
    quantity: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Counted {
    items: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Limits {
    items_max: u32,
    #[serde(default)]
    taxes: BTreeMap<String, u32>,
}

/// Counts the items
/// of an order.
///
/// A second paragraph.
#[handler(config = Limits)]
fn count(order: Order, ctx: &Context) -> StepResult<Counted> {
    let limits: Limits = ctx.config()?;
    let items: u32 = order.items.iter().map(|item| item.quantity).sum();
    if items > limits.items_max {
        let tax = limits.taxes.len();
        return Err(permanent("too many").code("too_many").details(json!({ "items": items, "taxes": tax })));
    }
    info!(ctx, "counted {}", order.order_id; items = items, attempt = ctx.attempt());
    ctx.progress(2.0, "done");
    Ok(Counted { items })
}

/// Only context.
#[handler(name = "from_parent", parents(count: Counted, weigh: Option<f64>))]
fn from_parent_function(ctx: &Context) -> StepResult<u32> {
    Ok(ctx.parent::<Counted>("count")?.items)
}

#[handler]
fn only_input(number: u32) -> Result<u32, std::num::TryFromIntError> {
    Ok(u32::from(u8::try_from(number)?))
}

mod inner {
    use super::*;

    #[handler]
    pub(crate) fn nothing() -> StepResult<RawJson> {
        Ok(RawJson("{\"raw\": true}".to_owned()))
    }

    #[handler]
    pub(crate) fn hand_on(input: RawJson) -> StepResult<RawJson> {
        Ok(input)
    }
}

plugin! {
    name: "tests/sdk",
    summary: "The SDK's tests.",
    wishes: { hosts: ["https://bank.example:443"], secrets: ["key"] },
    handlers: [count, from_parent_function, only_input, inner::nothing, inner::hand_on],
}

fn order(quantity: u32) -> Order {
    Order { order_id: "A-1".to_owned(), items: vec![Item { quantity }] }
}

fn entry(name: &str) -> &'static HandlerEntry {
    Plugin::HANDLERS.iter().find(|handler| handler.name == name).unwrap()
}

#[test]
fn a_handler_is_a_function() {
    let test = TestContext::new().config(json!({ "items_max": 10 })).attempt(2);
    assert_eq!(test.run(count, order(3)), Ok(Counted { items: 3 }));
    let logs = test.logs();
    assert_eq!((logs[0].level, logs[0].message.as_str()), (Level::Info, "counted A-1"));
    assert_eq!(logs[0].fields, [("items".into(), "3".into()), ("attempt".into(), "2".into())]);
    assert_eq!(test.progress()[0].fraction, 1.0);
    let error = test.run(count, order(11)).unwrap_err();
    assert_eq!(error.details, Some(json!({ "items": 11, "taxes": 0 })));
}

#[test]
fn handlers_of_every_shape_are_found_by_name() {
    let test = TestContext::new().config(json!({ "items_max": 10 })).parent("count", &Counted { items: 4 });
    assert_eq!(test.call::<Plugin>("count", order(2)), Ok(json!({ "items": 2 })));
    assert_eq!(test.call::<Plugin>("from_parent", ()), Ok(json!(4)));
    assert_eq!(test.call::<Plugin>("only_input", 7), Ok(json!(7)));
    assert!(test.call::<Plugin>("only_input", 700).unwrap_err().is_retryable());
    assert_eq!(test.call::<Plugin>("nothing", ()), Ok(json!({ "raw": true })));
    assert_eq!(test.call::<Plugin>("hand_on", [1, 2]), Ok(json!([1, 2])));
    let error = test.call::<Plugin>("cuont", ()).unwrap_err();
    assert_eq!(error.code.as_deref(), Some("unknown_handler"));
    assert!(error.message.contains("`count`, `from_parent`"), "{error}");
}

#[test]
fn a_plugin_describes_itself() {
    assert_eq!(Plugin::NAME, "tests/sdk");
    assert_eq!(Plugin::VERSION, env!("CARGO_PKG_VERSION"));
    assert_eq!(Plugin::WISHES.secrets, ["key"]);
    assert!(Plugin::WISHES.directories.is_empty());
    assert_eq!(entry("count").summary, "Counts the items of an order.");
    assert_eq!(entry("nothing").summary, "");
    let schemas = (entry("count").schemas)();
    let input: Value = serde_json::from_str(&schemas.input.unwrap()).unwrap();
    assert_eq!(input["required"], json!(["order_id", "items"]));
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let config: Value = serde_json::from_str(&schemas.config.unwrap()).unwrap();
    assert_eq!(config["required"], json!(["items_max"]));
    assert!(schemas.output.unwrap().contains("Counted"));
    let raw = (entry("hand_on").schemas)();
    assert_eq!((raw.input, raw.config, raw.output), (None, None, None));
    let parents = (entry("from_parent").schemas)().parents;
    assert_eq!(
        parents.iter().map(|it| (it.step, it.optional)).collect::<Vec<_>>(),
        [("count", false), ("weigh", true)]
    );
    assert!(parents[0].schema.as_ref().unwrap().contains("Counted"));
    assert!(raw.parents.is_empty());
}

#[test]
fn a_payload_that_does_not_fit_is_permanent_and_names_the_place() {
    let check = |test: &TestContext, handler: &str, input: Value, code: &str, parts: &[&str]| {
        let error = test.call::<Plugin>(handler, input).unwrap_err();
        assert!(!error.is_retryable());
        assert_eq!(error.code.as_deref(), Some(code));
        assert!(parts.iter().all(|part| error.message.contains(part)), "{error}");
    };
    let test =
        TestContext::new().config(json!({ "items_max": 10 })).parent("count", &json!({ "items": "x" }));
    let bad_quantity = json!({ "order_id": "A", "items": [{ "quantity": 1 }, { "quantity": "two" }] });
    check(&test, "count", bad_quantity, "invalid_input", &["at `items[1].quantity`", "expected u32"]);
    check(&test, "count", json!({ "items": [] }), "invalid_input", &["missing field `order_id`"]);
    check(
        &test,
        "from_parent",
        json!(null),
        "invalid_parent_output",
        &["parent `count` cannot be read at `items`"],
    );
    let test = TestContext::new().config(json!({ "items_max": 1, "taxes": { "DE": -1 } }));
    check(&test, "count", json!(order(1)), "invalid_config", &["config cannot be read at `taxes.DE`", "u32"]);
    let test = TestContext::new();
    check(&test, "count", json!(order(1)), "invalid_config", &["missing field `items_max`"]);
}

#[test]
fn a_missing_parent_lists_those_there_are() {
    let test = TestContext::new().parent("a", &1).parent("b", &2).step_name("sum");
    let error = test.context().parent::<u32>("c").unwrap_err();
    assert_eq!(error.message, "step `sum` has no parent `c`: its parents are `a`, `b`");
    assert_eq!(error.code.as_deref(), Some("unknown_parent"));
    let error = TestContext::new().context().parent::<u32>("c").unwrap_err();
    assert!(error.message.contains("nor any other"), "{error}");
    assert_eq!(TestContext::new().parent("a", &()).context().parent::<Option<u32>>("a"), Ok(None));
    let test = TestContext::new().parent("a", &()).parent("b", &2);
    let read = |step: &str| test.context().optional_parent::<u32>(step).unwrap();
    assert_eq!((read("a"), read("b"), read("c")), (None, Some(2), None));
    test.context().optional_parent::<bool>("b").unwrap_err();
}

#[test]
fn a_context_says_what_it_was_told() {
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let test = TestContext::new()
        .task_id("42")
        .step_name("pay")
        .attempt(3)
        .retry_limit(3)
        .idempotency_key("k")
        .deadline(deadline)
        .task_context(json!({ "n": 1 }))
        .tag("team", "blue")
        .secret("key", "s3cret")
        .cancelled();
    let ctx = test.context();
    assert_eq!((ctx.task_id(), ctx.step_name(), ctx.idempotency_key()), ("42", "pay", "k"));
    assert_eq!((ctx.attempt(), ctx.retry_limit(), ctx.is_last_attempt()), (3, 3, true));
    assert_eq!((ctx.deadline(), ctx.config_raw(), ctx.task_context_raw()), (deadline, "null", "{\"n\":1}"));
    assert_eq!((ctx.tag("team"), ctx.tag("other"), ctx.tags().len()), (Some("blue"), None, 1));
    assert_eq!(ctx.stop_if_cancelled().unwrap_err().code.as_deref(), Some("cancelled"));
    let secret = ctx.secret("key").unwrap();
    assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("s3cret", "Secret(..)"));
    assert_eq!(ctx.secret("other").unwrap_err().code.as_deref(), Some("secret_not_granted"));
}

#[test]
fn every_level_logs() {
    let test = TestContext::new();
    let (ctx, name) = (test.context(), "x");
    trace!(ctx, "a");
    debug!(ctx, "b {name}");
    warn!(ctx, "c {}", 1; key = name);
    error!(ctx, "d",);
    let logs = test.logs();
    let lines: Vec<_> = logs.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(
        lines,
        [(Level::Trace, "a"), (Level::Debug, "b x"), (Level::Warn, "c 1"), (Level::Error, "d")]
    );
}
