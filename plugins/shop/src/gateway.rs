//! The payment gateway: approves, declines, and is busy every so often.

use std::time::Duration;

use stepwright_sdk::prelude::*;

use crate::order::{Order, Validated};

/// How the gateway behaves.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// One payment in so many finds it busy; 0 for never.
    #[serde(default = "eleven")]
    pub busy_one_in: u64,
    /// How many attempts in a row find it busy then.
    #[serde(default = "one")]
    pub busy_attempts: u32,
    /// When it wants to be asked again.
    #[serde(default = "quarter_of_a_second")]
    pub busy_retry_after_ms: u64,
}

fn eleven() -> u64 {
    11
}

fn one() -> u32 {
    1
}

fn quarter_of_a_second() -> u64 {
    250
}

/// A payment that was taken.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Paid {
    pub payment_id: String,
    pub amount_cents: u64,
    pub currency: String,
}

/// Charges a valid order's total to the card.
#[handler(config = Gateway, parents(validate_order: Validated))]
pub fn process_payment(order: Order, ctx: &Context) -> StepResult<Paid> {
    let valid: Validated = ctx.parent("validate_order")?;
    let gateway: Gateway = ctx.config()?;
    gateway.answer(ctx)?;
    if let Some(reason) = declined(&order.payment.card_token) {
        warn!(ctx, "the card of order {} was declined", order.order_id; reason = reason);
        return Err(permanent(format!("the card was declined: {reason}")).code("card_declined"));
    }
    let payment_id = format!("PAY-{:012x}", fingerprint(ctx.idempotency_key()) >> 16);
    info!(ctx, "order {} is paid", order.order_id; payment_id = payment_id.clone());
    Ok(Paid { payment_id, amount_cents: valid.total_cents, currency: valid.currency })
}

impl Gateway {
    /// Fails with the time to come back if the gateway is busy for this attempt.
    pub fn answer(&self, ctx: &Context) -> StepResult<()> {
        let unlucky =
            self.busy_one_in > 0 && fingerprint(ctx.idempotency_key()).is_multiple_of(self.busy_one_in);
        if unlucky && ctx.attempt() <= self.busy_attempts {
            let delay = Duration::from_millis(self.busy_retry_after_ms);
            return Err(retryable("the payment gateway is busy").code("gateway_busy").retry_after(delay));
        }
        Ok(())
    }
}

/// Why a card is declined, by its token, as the test cards of payment providers do it.
pub fn declined(token: &str) -> Option<&'static str> {
    match token {
        "tok_insufficient_funds" => Some("insufficient funds"),
        "tok_expired" => Some("the card has expired"),
        "tok_stolen" => Some("the card was reported as stolen"),
        _ => None,
    }
}

/// FNV-1a, 64 bits (www.isthe.com/chongo/tech/comp/fnv): spreads ids evenly, and is the same everywhere.
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::order;
    use stepwright_sdk::testing::TestContext;

    fn test(config: Value) -> TestContext {
        let valid = Validated {
            order_id: "ORD-1".to_owned(),
            total_cents: 10_000,
            pieces: 6,
            currency: "GBP".to_owned(),
        };
        TestContext::new().config(config).parent("validate_order", &valid)
    }

    #[test]
    fn a_payment_takes_the_validated_total() {
        let paid = test(json!({ "busy_one_in": 0 })).run(process_payment, order()).unwrap();
        assert_eq!((paid.amount_cents, paid.currency.as_str()), (10_000, "GBP"));
    }

    #[test]
    fn a_busy_gateway_says_when_to_come_back_and_then_answers() {
        let always = || test(json!({ "busy_one_in": 1, "busy_attempts": 2, "busy_retry_after_ms": 70 }));
        let error = always().attempt(2).run(process_payment, order()).unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(
            (error.code.as_deref(), error.retry_after),
            (Some("gateway_busy"), Some(Duration::from_millis(70)))
        );
        assert!(always().attempt(3).run(process_payment, order()).is_ok());
    }

    #[test]
    fn a_declined_card_is_declined_for_good() {
        let mut poor = order();
        poor.payment.card_token = "tok_insufficient_funds".to_owned();
        let error = test(json!({ "busy_one_in": 0 })).run(process_payment, poor).unwrap_err();
        assert!(!error.is_retryable());
        assert_eq!(error.message, "the card was declined: insufficient funds");
    }

    #[test]
    fn busyness_is_spread_as_configured() {
        let unlucky = (0..10_000)
            .filter(|id| fingerprint(&format!("task/{id}/process_payment")).is_multiple_of(11))
            .count();
        assert!((700..1_100).contains(&unlucky), "{unlucky}");
    }
}
