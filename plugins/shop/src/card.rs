//! A card payment in five steps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stepwright_sdk::prelude::*;

use crate::gateway::{Gateway, fingerprint};

/// A payment as the checkout hands it over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CardPayment {
    pub payment_ref: String,
    pub card: Card,
    pub amount_cents: u64,
    pub currency: String,
    /// Where the shop is, ISO 3166.
    pub shop_country: String,
    pub email: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Card {
    pub number: String,
    pub expiry_year: u32,
    pub expiry_month: u32,
    /// Where the card was issued, ISO 3166.
    pub country: String,
}

/// A card that could be charged.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidCard {
    pub network: String,
    pub last4: String,
}

/// Checks the card's number and date.
#[handler]
pub fn validate_card(payment: CardPayment, ctx: &Context) -> StepResult<ValidCard> {
    let digits: String = payment.card.number.chars().filter(char::is_ascii_digit).collect();
    if !(13..=19).contains(&digits.len()) || !luhn(&digits) {
        return Err(permanent("the card number is mistyped").code("invalid_number"));
    }
    let (year, month) = year_and_month(ctx.deadline());
    if (payment.card.expiry_year, payment.card.expiry_month) < (year, month) {
        let date = format!("{}/{:02}", payment.card.expiry_year, payment.card.expiry_month);
        return Err(permanent(format!("the card expired in {date}")).code("expired_card"));
    }
    let network = match digits.as_bytes() {
        [b'4', ..] => "visa",
        [b'5', b'1'..=b'5', ..] => "mastercard",
        [b'3', b'4' | b'7', ..] => "amex",
        _ => "other",
    };
    Ok(ValidCard { network: network.to_owned(), last4: digits[digits.len() - 4..].to_owned() })
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(digit - b'0')) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The civil year and month in UTC (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn year_and_month(moment: SystemTime) -> (u32, u32) {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let shifted = seconds / 86_400 + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (u32::try_from(year).unwrap_or(u32::MAX), u32::try_from(month).unwrap_or(12))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FraudRules {
    /// Payments above this score are refused.
    score_max: u32,
    /// Payments above this amount are suspicious.
    amount_cents_usual: u64,
}

/// How suspicious a payment is, from 0 to 100.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FraudScore {
    pub score: u32,
    pub reasons: Vec<String>,
}

/// Scores a payment and refuses a suspicious one.
#[handler(config = FraudRules)]
pub fn check_fraud(payment: CardPayment, ctx: &Context) -> StepResult<FraudScore> {
    let rules: FraudRules = ctx.config()?;
    let mut score = 0;
    let mut reasons = Vec::new();
    if payment.amount_cents > rules.amount_cents_usual {
        score += 40;
        reasons.push(format!(
            "{} cents are more than the usual {}",
            payment.amount_cents, rules.amount_cents_usual
        ));
    }
    if payment.card.country != payment.shop_country {
        score += 30;
        reasons.push(format!("a card from {} in a shop in {}", payment.card.country, payment.shop_country));
    }
    if payment.email.ends_with(".invalid") {
        score += 30;
        reasons.push("the email address cannot exist".to_owned());
    }
    if score > rules.score_max {
        let message = format!("the payment looks like fraud: {}", reasons.join("; "));
        return Err(permanent(message).code("fraud_suspected").details(json!({ "score": score })));
    }
    Ok(FraudScore { score, reasons })
}

/// Money that is held on the card.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Authorized {
    pub authorization_id: String,
    pub amount_cents: u64,
}

/// Holds the amount on the card.
#[handler(config = Gateway, parents(validate_card: ValidCard))]
pub fn authorize_payment(payment: CardPayment, ctx: &Context) -> StepResult<Authorized> {
    let gateway: Gateway = ctx.config()?;
    let card: ValidCard = ctx.parent("validate_card")?;
    gateway.answer(ctx)?;
    // The number that payment providers use for a declined card.
    if card.last4 == "0002" {
        return Err(permanent("the bank declined the card").code("card_declined"));
    }
    let authorization_id = format!("AUTH-{:012x}", fingerprint(ctx.idempotency_key()) >> 16);
    Ok(Authorized { authorization_id, amount_cents: payment.amount_cents })
}

/// Money that has been taken.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    pub capture_id: String,
    pub authorization_id: String,
    pub amount_cents: u64,
}

/// Takes what was held.
#[handler(parents(authorize_payment: Authorized))]
pub fn capture_payment(ctx: &Context) -> StepResult<Captured> {
    let Authorized { authorization_id, amount_cents } = ctx.parent("authorize_payment")?;
    let capture_id = format!("CAP-{:012x}", fingerprint(&authorization_id) >> 16);
    Ok(Captured { capture_id, authorization_id, amount_cents })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Letterhead {
    /// The sender's address.
    from: String,
}

/// A receipt, ready to be sent.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    pub from: String,
    pub to: String,
    pub text: String,
}

/// Writes the customer's receipt.
#[handler(config = Letterhead, parents(capture_payment: Captured, validate_card: ValidCard))]
pub fn send_receipt(payment: CardPayment, ctx: &Context) -> StepResult<Receipt> {
    let Letterhead { from } = ctx.config()?;
    let captured: Captured = ctx.parent("capture_payment")?;
    let card: ValidCard = ctx.parent("validate_card")?;
    let (whole, cents) = (captured.amount_cents / 100, captured.amount_cents % 100);
    let text = format!(
        "{whole}.{cents:02} {} were charged to your {} card ending in {} ({}).",
        payment.currency, card.network, card.last4, payment.payment_ref
    );
    Ok(Receipt { from, to: payment.email, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_sdk::testing::TestContext;

    fn payment() -> CardPayment {
        CardPayment {
            payment_ref: "P-1".to_owned(),
            card: Card {
                number: "4242 4242 4242 4242".to_owned(),
                expiry_year: 2030,
                expiry_month: 1,
                country: "GB".to_owned(),
            },
            amount_cents: 1_999,
            currency: "GBP".to_owned(),
            shop_country: "GB".to_owned(),
            email: "ada@example.org".to_owned(),
        }
    }

    fn valid() -> ValidCard {
        ValidCard { network: "visa".to_owned(), last4: "4242".to_owned() }
    }

    fn code<T: std::fmt::Debug>(result: StepResult<T>) -> String {
        result.unwrap_err().code.unwrap()
    }

    #[test]
    fn cards_are_checked_for_their_number_and_date() {
        assert_eq!(TestContext::new().run(validate_card, payment()).unwrap(), valid());
        let mut mistyped = payment();
        mistyped.card.number = "4242 4242 4242 4243".to_owned();
        assert_eq!(code(TestContext::new().run(validate_card, mistyped)), "invalid_number");
        let mut old = payment();
        // The test's deadline lies in January 2026.
        old.card.expiry_year = 2025;
        assert_eq!(code(TestContext::new().run(validate_card, old)), "expired_card");
    }

    #[test]
    fn suspicion_adds_up() {
        let test = || TestContext::new().config(json!({ "score_max": 60, "amount_cents_usual": 1_000 }));
        assert_eq!(test().run(check_fraud, payment()).unwrap().score, 40);
        let mut abroad = payment();
        abroad.card.country = "US".to_owned();
        assert_eq!(code(test().run(check_fraud, abroad)), "fraud_suspected");
    }

    #[test]
    fn a_payment_is_held_taken_and_confirmed() {
        let config = json!({ "busy_one_in": 0 });
        let test = TestContext::new().config(config).parent("validate_card", &valid());
        let held = test.run(authorize_payment, payment()).unwrap();
        let taken = capture_payment(TestContext::new().parent("authorize_payment", &held).context()).unwrap();
        let test = TestContext::new().config(json!({ "from": "shop@example.org" }));
        let test = test.parent("capture_payment", &taken).parent("validate_card", &valid());
        let receipt = test.run(send_receipt, payment()).unwrap();
        assert_eq!(receipt.text, "19.99 GBP were charged to your visa card ending in 4242 (P-1).");
    }
}
