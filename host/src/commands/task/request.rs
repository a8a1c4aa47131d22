//! Flags that say what a task is started with.

use stepwright_orchestrator::request::{key_is_good, tag_is_good};

/// A label as `name=value`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not a tag; write name=value, such as customer=42"))?;
    tag_is_good(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// An idempotency key.
pub(super) fn key(text: &str) -> Result<String, String> {
    key_is_good(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_name_and_a_value() {
        assert_eq!(tag("kind=a=b"), Ok(("kind".to_owned(), "a=b".to_owned())));
        assert_eq!(tag("kind="), Ok(("kind".to_owned(), String::new())));
        for bad in ["kind", "=x", &format!("{}=x", "a".repeat(65)), &format!("a={}", "x".repeat(257))] {
            assert!(tag(bad).is_err(), "{bad}");
        }
        assert!(key("order-17").is_ok() && key("").is_err());
    }
}
