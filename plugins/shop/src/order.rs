//! The order as it comes in, and whether it can be fulfilled at all.

use std::collections::BTreeSet;

use stepwright_sdk::prelude::*;

/// An order. Money is in cents.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    pub order_id: String,
    pub customer: Customer,
    pub items: Vec<Item>,
    pub shipping: Address,
    pub payment: Payment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Customer {
    pub id: String,
    pub email: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    pub sku: String,
    pub quantity: u32,
    pub unit_price_cents: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    pub name: String,
    pub street: String,
    pub city: String,
    pub postal_code: String,
    /// ISO 3166, two letters.
    pub country: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// What the payment provider gave for the card.
    pub card_token: String,
    pub amount_cents: u64,
    /// ISO 4217.
    pub currency: String,
}

/// What may be ordered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// The most pieces of one item.
    #[serde(default = "hundred")]
    quantity_max: u32,
    /// The most that an order may cost.
    #[serde(default = "fifty_thousand")]
    total_cents_max: u64,
    /// Accepted currencies.
    #[serde(default = "currencies")]
    currencies: Vec<String>,
}

fn hundred() -> u32 {
    100
}

fn fifty_thousand() -> u64 {
    5_000_000
}

fn currencies() -> Vec<String> {
    ["EUR", "GBP", "USD"].map(str::to_owned).to_vec()
}

/// A valid order's figures.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validated {
    pub order_id: String,
    pub total_cents: u64,
    pub pieces: u64,
    pub currency: String,
}

/// Checks that an order is complete and consistent; every problem is listed.
#[handler(config = Rules)]
pub fn validate_order(order: Order, ctx: &Context) -> StepResult<Validated> {
    let rules: Rules = ctx.config()?;
    let problems = problems(&order, &rules);
    if !problems.is_empty() {
        let message = format!("order {} cannot be fulfilled: {}", order.order_id, problems.join("; "));
        return Err(permanent(message).code("invalid_order").details(json!({ "problems": problems })));
    }
    let total_cents = total(&order);
    info!(ctx, "order {} is valid", order.order_id; total_cents = total_cents);
    let pieces = order.items.iter().map(|item| u64::from(item.quantity)).sum();
    Ok(Validated { order_id: order.order_id, total_cents, pieces, currency: order.payment.currency })
}

/// What the items cost together.
pub fn total(order: &Order) -> u64 {
    order.items.iter().map(|item| u64::from(item.quantity).saturating_mul(item.unit_price_cents)).sum()
}

fn problems(order: &Order, rules: &Rules) -> Vec<String> {
    let mut problems = Vec::new();
    if !order.order_id.starts_with("ORD-") {
        problems.push(format!("the order id '{}' does not begin with ORD-", order.order_id));
    }
    if !order
        .customer
        .email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
    {
        problems.push(format!("'{}' is no email address", order.customer.email));
    }
    if order.items.is_empty() {
        problems.push("there are no items".to_owned());
    }
    let mut seen = BTreeSet::new();
    for item in &order.items {
        if !seen.insert(&item.sku) {
            problems.push(format!("the item {} is listed twice", item.sku));
        }
        if item.quantity == 0 || item.quantity > rules.quantity_max {
            problems.push(format!(
                "{} pieces of {}: 1 to {} can be ordered",
                item.quantity, item.sku, rules.quantity_max
            ));
        }
        if item.unit_price_cents == 0 {
            problems.push(format!("the item {} has no price", item.sku));
        }
    }
    if order.shipping.postal_code.trim().is_empty() || order.shipping.street.trim().is_empty() {
        problems.push("the address is incomplete".to_owned());
    }
    if order.shipping.country.len() != 2 {
        problems.push(format!("'{}' is no country of two letters", order.shipping.country));
    }
    let total = total(order);
    if total != order.payment.amount_cents {
        problems.push(format!(
            "the items cost {total} cents, but the payment is {} cents",
            order.payment.amount_cents
        ));
    }
    if total > rules.total_cents_max {
        problems.push(format!("{total} cents: at most {} can be ordered at once", rules.total_cents_max));
    }
    if !rules.currencies.contains(&order.payment.currency) {
        problems.push(format!(
            "{} is not accepted, {} are",
            order.payment.currency,
            rules.currencies.join(", ")
        ));
    }
    problems
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use stepwright_sdk::testing::TestContext;

    pub(crate) fn order() -> Order {
        Order {
            order_id: "ORD-1".to_owned(),
            customer: Customer { id: "C-1".to_owned(), email: "ada@example.org".to_owned() },
            items: vec![
                Item { sku: "LAMP".to_owned(), quantity: 2, unit_price_cents: 4_500 },
                Item { sku: "BULB".to_owned(), quantity: 4, unit_price_cents: 250 },
            ],
            shipping: Address {
                name: "Ada".to_owned(),
                street: "1 High Street".to_owned(),
                city: "London".to_owned(),
                postal_code: "N1".to_owned(),
                country: "GB".to_owned(),
            },
            payment: Payment {
                card_token: "tok_visa".to_owned(),
                amount_cents: 10_000,
                currency: "GBP".to_owned(),
            },
        }
    }

    fn check(change: impl FnOnce(&mut Order), expect: &str) {
        let mut order = order();
        change(&mut order);
        let error = TestContext::new().config(json!({})).run(validate_order, order).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("invalid_order"));
        assert!(error.message.contains(expect), "{}", error.message);
    }

    #[test]
    fn a_good_order_has_its_figures() {
        let test = TestContext::new().config(json!({}));
        let valid = test.run(validate_order, order()).unwrap();
        let expect = Validated {
            order_id: "ORD-1".to_owned(),
            total_cents: 10_000,
            pieces: 6,
            currency: "GBP".to_owned(),
        };
        assert_eq!(valid, expect);
        assert_eq!(test.logs()[0].message, "order ORD-1 is valid");
    }

    #[test]
    fn each_rule_has_its_message() {
        check(|it| it.items.clear(), "there are no items");
        check(|it| it.items[0].quantity = 0, "0 pieces of LAMP: 1 to 100");
        check(|it| it.items[1].sku = "LAMP".to_owned(), "LAMP is listed twice");
        check(|it| it.items[0].unit_price_cents = 0, "LAMP has no price");
        check(|it| it.payment.amount_cents = 1, "the items cost 10000 cents, but the payment is 1 cents");
        check(|it| it.payment.currency = "DOGE".to_owned(), "DOGE is not accepted");
        check(|it| it.customer.email = "ada".to_owned(), "'ada' is no email address");
        check(|it| it.shipping.postal_code.clear(), "the address is incomplete");
        check(|it| it.shipping.country = "England".to_owned(), "'England' is no country");
        check(|it| it.order_id = "1".to_owned(), "does not begin with ORD-");
    }

    #[test]
    fn every_problem_is_listed() {
        let broken = |it: &mut Order| {
            it.items.clear();
            it.shipping.street.clear();
        };
        check(broken, "there are no items; the address is incomplete; the items cost 0 cents");
    }
}
