//! The last step: out of the door.

use stepwright_sdk::prelude::*;

use crate::gateway::{Paid, fingerprint};
use crate::inventory::Reserved;
use crate::order::{Order, total};

/// A parcel on its way.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shipped {
    pub order_id: String,
    pub tracking: String,
    pub carrier: String,
    pub pieces: u64,
    pub days: u32,
}

/// Hands a reserved and paid order to the carrier.
#[handler(parents(reserve_inventory: Reserved, process_payment: Paid))]
pub fn ship_order(order: Order, ctx: &Context) -> StepResult<Shipped> {
    let reserved: Reserved = ctx.parent("reserve_inventory")?;
    let paid: Paid = ctx.parent("process_payment")?;
    let owed = total(&order);
    if paid.amount_cents != owed {
        let message =
            format!("order {} costs {owed} cents, but {} cents were paid", order.order_id, paid.amount_cents);
        return Err(permanent(message).code("wrong_amount"));
    }
    let (carrier, days) = match order.shipping.country.as_str() {
        "GB" => ("Royal Mail", 1),
        "DE" | "FR" | "NL" | "AT" => ("DHL", 2),
        _ => ("FedEx", 6),
    };
    let pieces = reserved.lines.iter().map(|line| u64::from(line.quantity)).sum();
    let tracking = format!("TRK{:016X}", fingerprint(ctx.idempotency_key()));
    info!(ctx, "order {} leaves with {carrier}", order.order_id; tracking = tracking.clone());
    Ok(Shipped { order_id: order.order_id, tracking, carrier: carrier.to_owned(), pieces, days })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Line;
    use crate::order::tests::order;
    use stepwright_sdk::testing::TestContext;

    fn test(amount_cents: u64) -> TestContext {
        let lines =
            vec![Line { sku: "LAMP".to_owned(), quantity: 2 }, Line { sku: "BULB".to_owned(), quantity: 4 }];
        let reserved = Reserved { reservation_id: "RES-1".to_owned(), lines };
        let paid = Paid { payment_id: "PAY-1".to_owned(), amount_cents, currency: "GBP".to_owned() };
        TestContext::new().parent("reserve_inventory", &reserved).parent("process_payment", &paid)
    }

    #[test]
    fn a_paid_order_leaves_with_the_carrier_of_its_country() {
        let shipped = test(10_000).run(ship_order, order()).unwrap();
        assert_eq!((shipped.carrier.as_str(), shipped.pieces, shipped.days), ("Royal Mail", 6, 1));
    }

    #[test]
    fn what_was_not_paid_in_full_stays() {
        let error = test(9_999).run(ship_order, order()).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("wrong_amount"));
    }
}
