//! Schemas that fit and schemas that do not; and what must never be a misfit.
#![allow(clippy::needless_pass_by_value, reason = "schemas are written where they are used")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check(given: Json, read: Json, expect: &str) {
    let found = misfit(&given, &read);
    let found = found.map(|it| format!("{}: {} | {}", it.path, it.gives, it.reads)).unwrap_or_default();
    assert_eq!(found, expect, "given {given}, read {read}");
}

fn fits(given: Json, read: Json) {
    check(given, read, "");
}

fn order(properties: Json) -> Json {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

#[test]
fn kinds_must_be_readable() {
    check(json!({"type": "string"}), json!({"type": "integer"}), "output: string | integer");
    check(json!({"type": "number"}), json!({"type": "integer"}), "output: number | integer");
    fits(json!({"type": "integer"}), json!({"type": "number"}));
    check(json!({"type": ["string", "null"]}), json!({"type": "string"}), "output: null | string");
    fits(json!({"type": "string"}), json!({"type": ["string", "null"]}));
    fits(json!({"type": ["string", "null"]}), json!({"anyOf": [{"type": "null"}, {"type": "string"}]}));
    check(json!({"type": "null"}), json!(false), "output: null | nothing");
    // Nothing certain.
    fits(json!(true), json!({"type": "integer"}));
    fits(json!({}), order(json!({"a": {"type": "integer"}})));
    fits(json!({"type": "string"}), json!({"not": {"type": "string"}}));
    fits(json!({"$ref": "elsewhere.json"}), json!({"type": "integer"}));
}

#[test]
fn values_are_compared_where_both_sides_list_them() {
    check(json!({"enum": ["a", "b"]}), json!({"enum": ["b", "c"]}), "output: \"a\" | \"b\" or \"c\"");
    fits(json!({"enum": ["b"]}), json!({"enum": ["b", "c"]}));
    fits(json!({"enum": ["a", "b"], "type": "string"}), json!({"oneOf": [{"const": "b"}, {"const": "a"}]}));
    check(
        json!({"oneOf": [{"const": "x"}, {"const": "a"}]}),
        json!({"enum": ["a", "b"]}),
        "output: \"x\" | \"a\" or \"b\"",
    );
    fits(json!({"type": "string"}), json!({"const": "a"}));
    fits(json!({"const": 1}), json!({"const": 1.0}));
    check(json!({"const": "a"}), json!({"type": "integer"}), "output: \"a\" | integer");
}

#[test]
fn objects_must_have_what_is_read() {
    let given = order(json!({"id": {"type": "string"}, "total_cents": {"type": "string"}}));
    check(
        given.clone(),
        order(json!({"total_cents": {"type": "integer"}})),
        "output.total_cents: string | integer",
    );
    check(given.clone(), order(json!({"total": {"type": "integer"}})), "output.total: nothing | a value");
    fits(given.clone(), order(json!({"id": {"type": "string"}})));
    // What is not needed may be missing.
    fits(given.clone(), json!({"type": "object", "properties": {"note": {"type": "string"}}}));
    check(
        given.clone(),
        json!({"type": "object", "properties": {"id": {}}, "additionalProperties": false}),
        "output.total_cents: string | nothing",
    );
    check(given, json!({"additionalProperties": {"type": "integer"}}), "output.id: string | integer");
    let some = json!({"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}}});
    check(some, order(json!({"b": {}})), "output.b: a value that may be left out | a value");
    // Who never says what is required has not said that this is not.
    fits(json!({"type": "object", "properties": {"b": {}}}), order(json!({"b": {}})));
    let open = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": true});
    fits(open, order(json!({"b": {}})));
    let map = |values: Json| json!({"type": "object", "additionalProperties": values});
    fits(map(json!({"type": "integer"})), order(json!({"b": {}})));
    check(map(json!({"type": "string"})), map(json!({"type": "integer"})), "output.*: string | integer");
}

#[test]
fn arrays_are_compared_item_by_item() {
    let list = |items: Json| json!({"type": "array", "items": items});
    let tuple = |items: Json| {
        let many = items.as_array().unwrap().len();
        json!({"type": "array", "prefixItems": items, "minItems": many, "maxItems": many})
    };
    let (text, number) = (json!({"type": "string"}), json!({"type": "integer"}));
    check(list(text.clone()), list(number.clone()), "output[]: string | integer");
    check(tuple(json!([number, text])), tuple(json!([number, number])), "output[1]: string | integer");
    check(tuple(json!([number, text])), list(number.clone()), "output[1]: string | integer");
    check(tuple(json!([number])), tuple(json!([number, number])), "output: at most 1 items | at least 2");
    fits(list(number.clone()), list(json!({"type": "number"})));
    check(list(list(text)), list(list(number)), "output[][]: string | integer");
}

#[test]
fn references_and_unions_are_followed() {
    let given = json!({"type": "object", "required": ["card"], "properties": {"card": {"$ref": "#/$defs/Card"}},
        "$defs": {"Card": order(json!({"last4": {"type": "string"}}))}});
    let read = json!({"$ref": "#/definitions/Root",
        "definitions": {"Root": order(json!({"card": order(json!({"last4": {"type": "integer"}}))}))}});
    check(given.clone(), read, "output.card.last4: string | integer");
    // An optional part is null now and then.
    let maybe = json!({"anyOf": [{"$ref": "#/$defs/Card"}, {"type": "null"}], "$defs": given["$defs"]});
    check(maybe.clone(), order(json!({"last4": {}})), "output: null | object");
    check(
        maybe.clone(),
        json!({"anyOf": [order(json!({"pan": {}})), {"type": "null"}]}),
        "output.pan: nothing | a value",
    );
    fits(maybe, json!({"anyOf": [order(json!({"last4": {}})), {"type": "null"}]}));
    // Variants by their tag: each must have a place, and only that place counts.
    let variant = |tag: &str, more: Json| {
        let mut properties = more;
        properties["kind"] = json!({"const": tag});
        order(properties)
    };
    let given =
        json!({"oneOf": [variant("card", json!({"last4": {"type": "string"}})), variant("cash", json!({}))]});
    let read = |card: Json| json!({"oneOf": [variant("cash", json!({})), variant("card", card)]});
    fits(given.clone(), read(json!({"last4": {"type": "string"}})));
    check(given.clone(), read(json!({"last4": {"type": "integer"}})), "output.last4: string | integer");
    check(
        given,
        json!({"oneOf": [variant("cash", json!({})), variant("debt", json!({}))]}),
        "output: object | object or object",
    );
    // One kind for several variants may go either way.
    let either = order(json!({"kind": {"enum": ["card", "cash"]}, "last4": {"type": "string"}}));
    fits(either, read(json!({"last4": {"type": "string"}})));
    // What is recursive ends.
    let tree = |leaf: &str| json!({"type": "object", "required": ["leaf"], "properties": {"leaf": {"type": leaf}, "left": {"$ref": "#"}}});
    fits(tree("integer"), tree("number"));
    check(tree("string"), tree("number"), "output.leaf: string | number");
    fits(json!({"$ref": "#"}), json!({"$ref": "#"}));
    fits(json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}));
}

/// Types as the SDK's schemas describe them.
#[derive(Debug, Clone)]
enum Shape {
    Text,
    Whole,
    Real,
    Flag,
    Any,
    Maybe(Box<Shape>),
    List(Box<Shape>),
    Map(Box<Shape>),
    Pair(Box<Shape>, Box<Shape>),
    Struct(Vec<(u8, Shape, bool)>),
    Words(u8),
    Tagged(Vec<Vec<(u8, Shape, bool)>>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Text),
        Just(Shape::Whole),
        Just(Shape::Real),
        Just(Shape::Flag),
        Just(Shape::Any),
        (1_u8..4).prop_map(Shape::Words),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let one = || inner.clone().prop_map(Box::new);
        let fields = || prop::collection::vec((0_u8..6, inner.clone(), any::<bool>()), 0..4);
        prop_oneof![
            one().prop_map(Shape::Maybe),
            one().prop_map(Shape::List),
            one().prop_map(Shape::Map),
            (one(), one()).prop_map(|(a, b)| Shape::Pair(a, b)),
            fields().prop_map(Shape::Struct),
            prop::collection::vec(fields(), 1..4).prop_map(Shape::Tagged),
        ]
    })
}

fn fields_of(fields: &[(u8, Shape, bool)], wide: bool) -> (Map<String, Json>, Vec<String>) {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, shape, needed) in fields {
        if properties.insert(format!("f{name}"), schema(shape, wide)).is_none() && *needed && !wide {
            required.push(format!("f{name}"));
        }
    }
    (properties, required)
}

/// The schema of a type; or, wide, of one that reads all of it and more.
fn schema(shape: &Shape, wide: bool) -> Json {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Whole if wide => json!({"type": "number"}),
        Shape::Whole => json!({"type": "integer", "format": "uint32", "minimum": 0}),
        Shape::Real => json!({"type": "number"}),
        Shape::Flag => json!({"type": if wide { json!(["boolean", "null"]) } else { json!("boolean") }}),
        Shape::Any => json!(true),
        Shape::Maybe(inner) => json!({"anyOf": [schema(inner, wide), {"type": "null"}]}),
        Shape::List(inner) => json!({"type": "array", "items": schema(inner, wide)}),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": schema(inner, wide)}),
        Shape::Pair(a, b) => json!({"type": "array", "prefixItems": [schema(a, wide), schema(b, wide)],
            "minItems": 2, "maxItems": 2}),
        Shape::Struct(fields) => {
            let (properties, required) = fields_of(fields, wide);
            json!({"type": "object", "properties": properties, "required": required})
        }
        Shape::Words(many) => {
            let words: Vec<String> = (0..many + u8::from(wide)).map(|word| format!("w{word}")).collect();
            if wide {
                json!({"oneOf": words.iter().map(|word| json!({"type": "string", "const": word})).collect::<Vec<_>>()})
            } else {
                json!({"type": "string", "enum": words})
            }
        }
        Shape::Tagged(variants) => {
            let variant = |(tag, fields): (usize, &Vec<(u8, Shape, bool)>)| {
                let (mut properties, mut required) = fields_of(fields, wide);
                properties.insert("tag".to_owned(), json!({"type": "string", "const": format!("t{tag}")}));
                required.push("tag".to_owned());
                json!({"type": "object", "properties": properties, "required": required})
            };
            json!({"oneOf": variants.iter().enumerate().map(variant).collect::<Vec<_>>()})
        }
    }
}

proptest! {
    #[test]
    fn what_a_type_gives_is_read_by_the_same_type_and_by_a_wider_one(shape in shapes()) {
        let (same, wide) = (schema(&shape, false), schema(&shape, true));
        prop_assert_eq!(misfit(&same, &same), None);
        prop_assert_eq!(misfit(&same, &wide), None);
    }

    #[test]
    fn any_two_types_are_compared_without_a_panic(a in shapes(), b in shapes()) {
        let _ = misfit(&schema(&a, false), &schema(&b, false));
    }
}
