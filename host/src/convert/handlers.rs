//! The names under which the gem's workers offer classes: the last part of the class's name in snake case. Classes that would share
//! one are offered under their whole names.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Named;
use super::notes::Notes;

/// The name of each class's handler.
#[derive(Debug, Default)]
pub(super) struct Handlers(BTreeMap<String, Handler>);

#[derive(Debug, PartialEq)]
struct Handler {
    name: String,
    /// Other classes whose short name is the same.
    shared_with: Vec<String>,
}

impl Handlers {
    pub(super) fn of<'a>(classes: impl Iterator<Item = &'a str>) -> Self {
        let classes: BTreeSet<&str> = classes.map(plain).collect();
        let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for class in classes {
            by_name.entry(short(class)).or_default().push(class);
        }
        let mut handlers = BTreeMap::new();
        for (name, classes) in by_name {
            for class in &classes {
                let shared_with =
                    classes.iter().filter(|other| other != &class).map(|other| (*other).to_owned());
                let shared_with: Vec<String> = shared_with.collect();
                let name = if shared_with.is_empty() { name.clone() } else { whole(class) };
                handlers.insert((*class).to_owned(), Handler { name, shared_with });
            }
        }
        Self(handlers)
    }

    /// The name of this class's handler; a warning if the class has to say it itself.
    pub(super) fn name(&self, class: &Named, notes: &mut Notes) -> String {
        let plain = plain(&class.name);
        let Some(handler) = self.0.get(plain) else { return short(plain) };
        if !handler.shared_with.is_empty() {
            let what = format!(
                "'{}' would be offered as '{}', and so would {}; it is '{}' here",
                class.name,
                short(plain),
                handler.shared_with.join(", "),
                handler.name
            );
            notes.warn(&class.spot, what, format!("write 'handles \"{}\"' in the class", handler.name));
        }
        handler.name.clone()
    }
}

/// Whether a text is the name of a Ruby class.
pub(super) fn is_class(text: &str) -> bool {
    let constant = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_uppercase())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    plain(text).split("::").all(constant)
}

fn plain(class: &str) -> &str {
    class.strip_prefix("::").unwrap_or(class)
}

/// What the gem calls a class that says nothing else.
fn short(class: &str) -> String {
    snake(class.rsplit("::").next().unwrap_or(class))
}

fn whole(class: &str) -> String {
    class.split("::").map(snake).collect::<Vec<_>>().join("/")
}

/// The gem's `gsub(/([A-Z]+)([A-Z][a-z])|([a-z\d])([A-Z])/, '\1\3_\2\4').downcase`: a `_` where a word of capitals ends before a
/// capitalised one, and where a capital follows a small letter or a digit. Each match consumes what it covers.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let is = |at: usize, test: fn(&char) -> bool| letters.get(at).is_some_and(test);
    let small = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut snake = String::with_capacity(name.len() + 8);
    let mut at = 0;
    while at < letters.len() {
        let capitals = letters[at..].iter().take_while(|c| c.is_ascii_uppercase()).count();
        if capitals >= 2 && is(at + capitals, char::is_ascii_lowercase) {
            let last = at + capitals - 1;
            snake.extend(&letters[at..last]);
            snake.push('_');
            snake.extend(&letters[last..last + 2]);
            at = last + 2;
        } else if small(&letters[at]) && is(at + 1, char::is_ascii_uppercase) {
            snake.extend([letters[at], '_', letters[at + 1]]);
            at += 2;
        } else {
            snake.push(letters[at]);
            at += 1;
        }
    }
    snake.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_called_as_the_gem_calls_them() {
        // What Stepwright::StepHandler.handler_name says of the same names.
        let cases = [
            ("ChargeCard", "charge_card"),
            ("Shop::StepHandlers::ValidateCartHandler", "validate_cart_handler"),
            ("HTTPFetch", "http_fetch"),
            ("GetURLForOrder", "get_url_for_order"),
            ("ABCDef", "abc_def"),
            ("ABC", "abc"),
            ("Step2Handler", "step2_handler"),
            ("S3Upload", "s3_upload"),
            ("OneABCd", "one_ab_cd"),
            ("AbCDeF", "ab_cde_f"),
            ("Pay_Now", "pay_now"),
        ];
        for (class, expected) in cases {
            assert_eq!(short(class), expected, "{class}");
        }
        for bad in ["", "chargeCard", "Shop:Charge", "Shop::", "Shop::charge", "Shop Charge"] {
            assert!(!is_class(bad), "{bad}");
        }
        assert!(is_class("::Shop::Charge"));
    }

    #[test]
    fn classes_of_one_name_are_told_apart() {
        let handlers =
            Handlers::of(["Pay::Charge", "::Refund::Charge", "Pay::Ship", "Pay::Charge"].into_iter());
        let names: Vec<&str> = handlers.0.values().map(|handler| handler.name.as_str()).collect();
        assert_eq!(names, ["pay/charge", "ship", "refund/charge"]);
    }
}
