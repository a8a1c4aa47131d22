//! JSON text that is carried, stored and compared, and looked into only where somebody asks for a value.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A well-formed JSON text, shared and immutable. Cloning does not copy the text.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Payload(Arc<RawValue>);

impl Payload {
    /// The deepest nesting of arrays and objects that [`Payload::parse`] accepts: what `serde_json` can read back.
    pub const DEPTH_MAX: usize = 127;

    /// Checks that `text` is one JSON value, nested at most [`Payload::DEPTH_MAX`] deep, and keeps it as written.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        let text: String = text.into();
        // `RawValue` skips over nesting without a limit; whoever reads the payload later would fail instead.
        if depth(&text) > Self::DEPTH_MAX {
            return Err(serde::de::Error::custom(format_args!("nested more than {} deep", Self::DEPTH_MAX)));
        }
        RawValue::from_string(text).map(|raw| Self(raw.into()))
    }

    /// Keeps a text that was checked when it was stored or sent.
    pub fn trusted(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(|raw| Self(raw.into()))
    }

    /// The payload of any value that serialises to JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(raw.into()))
    }

    /// The JSON value `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned().into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.0.get().len()
    }

    /// Reads the text as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}

/// The deepest nesting of brackets outside strings. Only meaningful for JSON; anything else is refused by the parser.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_text_and_refuses_what_is_not_json() {
        assert_eq!(Payload::parse("{\"a\": 1.50}").unwrap().as_str(), "{\"a\": 1.50}");
        assert!(Payload::parse("{").is_err());
        assert!(Payload::parse("1 2").is_err());
    }

    #[test]
    fn a_hundred_thousand_levels_are_refused_and_do_not_overflow_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Payload::parse(deep).is_err());
        let fits = format!("{}{}", "[".repeat(Payload::DEPTH_MAX), "]".repeat(Payload::DEPTH_MAX));
        Payload::parse(fits).unwrap().read::<serde_json::Value>().unwrap();
        Payload::parse(format!("\"{}\\\"{}\"", "[".repeat(500), "{".repeat(500))).unwrap();
    }
}
