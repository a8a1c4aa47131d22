//! The schema of a context. The earlier system read it as draft 4 of JSON Schema and checked it strictly; here it is 2020-12, and
//! checked as it says.

use serde_json::{Map, Value as Json};

use super::notes::{Notes, Spot};
use super::yaml::{Key, Node, Value};

/// What a schema says that means draft 4.
const DRAFT_4: &str = "http://json-schema.org/draft-04/schema#";
/// Formats that the earlier system checked.
const CHECKED: &[&str] = &["date-time", "ipv4", "ipv6", "uri"];

/// The schema as it has to stand here.
pub(super) fn convert(node: &Node, notes: &mut Notes) -> Option<Node> {
    let spot = node.spot("schema");
    let (Value::Map(entries), Json::Object(schema)) = (&node.value, node.json()) else {
        let what = format!("expected a JSON Schema, found {}", node.kind());
        notes.error(&spot, what, "write 'type: object' and 'properties' below it");
        return None;
    };
    let spot = Spot { value: None, ..spot };
    let mut entries = entries.clone();
    let named = schema.get("$schema").map(|draft| draft.as_str() == Some(DRAFT_4));
    let draft_4 = named.unwrap_or_else(|| says_draft_4(&schema) || schema.values().any(is_draft_4));
    if draft_4 && named.is_none() {
        let draft = Node { value: Value::Text(DRAFT_4.to_owned()), at: node.at };
        entries.insert(0, (Key { text: "$schema".to_owned(), at: node.at }, draft));
    }
    warn_of_formats(&schema, draft_4, &spot, notes);
    if is_open(&schema) {
        notes.warn(
            &spot,
            "every property had to be there unless it has a default, and no other could be; here 'required' and \
             'additionalProperties' decide",
            "write both where it matters; what was taken before is taken still",
        );
    }
    Some(Node { value: Value::Map(entries), at: node.at })
}

/// Formats are checked in schemas of draft 4, and in those of 2020-12 they are not; the earlier system checked a few.
fn warn_of_formats(schema: &Map<String, Json>, draft_4: bool, spot: &Spot, notes: &mut Notes) {
    if draft_4 && let Some(format) = formats(schema, &|format| !CHECKED.contains(&format)) {
        let what =
            format!("'format: {format}' was not checked, and may be checked here, in a schema of draft 4");
        notes.warn(spot, what, "drop it if contexts come that do not have it");
    }
    if !draft_4 && let Some(format) = formats(schema, &|format| CHECKED.contains(&format)) {
        let what = format!("'format: {format}' was checked, and is not here");
        notes.warn(spot, what, "write a 'pattern', or check it in the first step's handler");
    }
}

/// Whether a part of a schema means something else in 2020-12, or nothing.
fn is_draft_4(part: &Json) -> bool {
    match part {
        Json::Object(schema) => says_draft_4(schema) || schema.values().any(is_draft_4),
        Json::Array(parts) => parts.iter().any(is_draft_4),
        _ => false,
    }
}

fn says_draft_4(schema: &Map<String, Json>) -> bool {
    let is_bool = |key: &str| schema.get(key).is_some_and(Json::is_boolean);
    is_bool("exclusiveMinimum")
        || is_bool("exclusiveMaximum")
        || schema.get("items").is_some_and(Json::is_array)
        || schema.get("additionalItems").is_some_and(|value| value.is_object() || value.is_boolean())
        || schema.get("dependencies").is_some_and(Json::is_object) && schema.contains_key("type")
}

/// The first format in the schema that is one of these.
fn formats(schema: &Map<String, Json>, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let own = schema.get("format").and_then(Json::as_str).filter(|format| wanted(format));
    let below = || {
        schema.values().find_map(|part| match part {
            Json::Object(schema) => formats(schema, wanted),
            Json::Array(parts) => {
                parts.iter().filter_map(Json::as_object).find_map(|schema| formats(schema, wanted))
            }
            _ => None,
        })
    };
    own.map(str::to_owned).or_else(below)
}

/// Whether an object of the schema takes what the strict check refused.
fn is_open(schema: &Map<String, Json>) -> bool {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
        return schema.values().filter_map(Json::as_object).any(is_open);
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
    let optional = |(name, property): (&String, &Json)| {
        !required.contains(&name.as_str()) && property.get("default").is_none()
    };
    !closed || properties.iter().any(optional) || properties.values().filter_map(Json::as_object).any(is_open)
}
