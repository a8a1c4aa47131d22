//! From an engine's columns to values. A column that holds what it must not is an inconsistency that names it.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stepwright_workflow::{Digest, Payload};

use crate::{Result, StoreError};

/// The error for a column that holds what the schema should have refused.
pub fn inconsistent(column: &str, value: impl Display) -> StoreError {
    StoreError::Inconsistent(format!("column {column} holds '{value}'"))
}

/// A count or size that the schema keeps from being negative.
pub fn number<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| inconsistent(column, value))
}

/// A word with one spelling, such as a state.
pub fn parsed<T: FromStr>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| inconsistent(column, text))
}

/// A fingerprint of 32 bytes.
pub fn digest(column: &str, bytes: &[u8]) -> Result<Digest> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| inconsistent(column, format!("{} bytes", bytes.len())))?;
    Ok(Digest::from_bytes(bytes))
}

/// JSON that is kept as it came.
pub fn payload(column: &str, text: String) -> Result<Payload> {
    Payload::trusted(text).map_err(|error| inconsistent(column, error))
}

/// JSON of a known shape.
pub fn json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| inconsistent(column, error))
}

/// A value as JSON text, to be stored as such.
pub fn text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|source| StoreError::Engine { what: "encode a value as JSON", source: Box::new(source) })
}
