//! Orders for the demonstration: the same ones for the same seed, each with the end that it must come to.

use serde_json::{Value, json};

/// One order.
pub(crate) struct Order {
    /// Unique.
    pub(crate) id: String,
    /// What is special about it, for people.
    pub(crate) kind: &'static str,
    /// Whether it must be fulfilled; otherwise its task must end in error.
    pub(crate) fulfilled: bool,
    /// What the task is started with.
    pub(crate) context: Value,
}

/// A seeded source of choices (splitmix64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}

const GOODS: &[(&str, u64)] = &[
    ("LAMP-OAK", 4_900),
    ("BULB-E27", 350),
    ("RUG-WOOL", 18_900),
    ("MUG-RED", 1_250),
    ("BOOK-ATLAS", 3_400),
    ("KETTLE", 5_990),
];
const PEOPLE: &[(&str, &str, &str, &str)] = &[
    ("Ada", "1 High Street", "London", "GB"),
    ("Bruno", "Lange Gasse 7", "Wien", "AT"),
    ("Chloe", "12 rue Cler", "Paris", "FR"),
    ("Dirk", "Hafenweg 3", "Hamburg", "DE"),
    ("Eve", "400 Pine Street", "Seattle", "US"),
];

/// `count` orders. About one in seven must not be fulfilled.
pub(crate) fn orders(seed: u64, count: usize) -> impl Iterator<Item = Order> {
    let mut choices = Choices(seed);
    (1..=count).map(move |number| order(number, &mut choices))
}

fn order(number: usize, choices: &mut Choices) -> Order {
    let mut items: Vec<(&str, u64, u64)> = Vec::new();
    for _ in 0..=choices.below(3) {
        let (sku, price) = choices.of(GOODS);
        if items.iter().all(|(known, ..)| *known != sku) {
            items.push((sku, choices.below(4) + 1, price));
        }
    }
    let mut token = choices.of(&["tok_visa", "tok_mastercard", "tok_amex"]);
    let mut short_by = 0;
    let (kind, fulfilled) = match choices.below(100) {
        0..=4 => {
            token = choices.of(&["tok_insufficient_funds", "tok_expired", "tok_stolen"]);
            ("card declined", false)
        }
        5..=8 => {
            items.push(choices.of(&[("VASE-BLUE", 1, 7_900), ("CLOCK-GOLD", 4, 24_900)]));
            ("out of stock", false)
        }
        9..=11 => {
            short_by = 1;
            ("wrong amount", false)
        }
        12..=15 => {
            items.iter_mut().for_each(|(_, quantity, _)| *quantity *= 20);
            ("large", true)
        }
        _ => ("ordinary", true),
    };
    let id = format!("ORD-{number:06}");
    let context = context(&id, &items, (token, short_by), choices);
    Order { id, kind, fulfilled, context }
}

fn context(
    id: &str,
    items: &[(&str, u64, u64)],
    (token, short_by): (&str, u64),
    choices: &mut Choices,
) -> Value {
    let (name, street, city, country) = choices.of(PEOPLE);
    let total: u64 = items.iter().map(|(_, quantity, price)| quantity * price).sum();
    let items: Vec<Value> = items
        .iter()
        .map(|(sku, quantity, price)| json!({ "sku": sku, "quantity": quantity, "unit_price_cents": price }))
        .collect();
    let customer = choices.below(400);
    json!({
        "order_id": id,
        "customer": { "id": format!("C-{customer}"), "email": format!("{}{customer}@example.org", name.to_lowercase()) },
        "items": items,
        "shipping": { "name": name, "street": street, "city": city, "postal_code": "10100", "country": country },
        "payment": { "card_token": token, "amount_cents": total - short_by, "currency": choices.of(&["EUR", "GBP", "USD"]) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_orders_of_every_kind() {
        let all = |seed| {
            orders(seed, 1_000).map(|order| (order.kind, order.context.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        for kind in ["ordinary", "large", "card declined", "out of stock", "wrong amount"] {
            assert!(all(7).iter().filter(|(candidate, _)| *candidate == kind).count() > 10, "{kind}");
        }
    }
}
