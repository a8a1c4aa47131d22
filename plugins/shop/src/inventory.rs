//! The warehouse.

use std::collections::BTreeMap;

use stepwright_sdk::prelude::*;

use crate::gateway::fingerprint;
use crate::order::{Order, Validated};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Warehouse {
    /// Pieces of the items whose stock is known.
    #[serde(default)]
    stock: BTreeMap<String, u32>,
    /// Pieces of every other item.
    #[serde(default = "plenty")]
    stock_otherwise: u32,
}

fn plenty() -> u32 {
    500
}

/// What was set aside for an order.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reserved {
    pub reservation_id: String,
    pub lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub sku: String,
    pub quantity: u32,
}

/// Sets the items of a valid order aside, all or none.
#[handler(config = Warehouse, parents(validate_order: Validated))]
pub fn reserve_inventory(order: Order, ctx: &Context) -> StepResult<Reserved> {
    let _valid: Validated = ctx.parent("validate_order")?;
    let warehouse: Warehouse = ctx.config()?;
    let mut lines = Vec::with_capacity(order.items.len());
    for item in order.items {
        let available = warehouse.stock.get(&item.sku).copied().unwrap_or(warehouse.stock_otherwise);
        if item.quantity > available {
            let message =
                format!("{} pieces of {} are wanted, {available} are there", item.quantity, item.sku);
            let details = json!({ "sku": item.sku, "wanted": item.quantity, "available": available });
            return Err(permanent(message).code("out_of_stock").details(details));
        }
        lines.push(Line { sku: item.sku, quantity: item.quantity });
    }
    // The same for every attempt: a warehouse would recognise it.
    Ok(Reserved { reservation_id: format!("RES-{:012x}", fingerprint(ctx.idempotency_key()) >> 16), lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::order;
    use stepwright_sdk::testing::TestContext;

    fn valid() -> Validated {
        Validated { order_id: "ORD-1".to_owned(), total_cents: 10_000, pieces: 6, currency: "GBP".to_owned() }
    }

    #[test]
    fn a_second_attempt_makes_the_same_reservation() {
        let attempt = |number| {
            let test =
                TestContext::new().config(json!({})).parent("validate_order", &valid()).attempt(number);
            test.run(reserve_inventory, order()).unwrap()
        };
        assert_eq!(attempt(1), attempt(2));
        assert_eq!(attempt(1).lines.len(), 2);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let test =
            TestContext::new().config(json!({ "stock": { "BULB": 3 } })).parent("validate_order", &valid());
        let error = test.run(reserve_inventory, order()).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("out_of_stock"));
        assert_eq!(error.message, "4 pieces of BULB are wanted, 3 are there");
    }
}
