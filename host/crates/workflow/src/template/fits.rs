//! Whether a child can read what its parent gives: two JSON Schemas compared by their structure.
//!
//! Only what is certain is a misfit. A keyword that is not known here, a schema that says nothing, or one that is too deep to
//! follow is taken to fit; what is wrong all the same shows when the step runs.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

/// How deep schemas are followed: recursive ones never end.
const DEPTH_MAX: u32 = 24;
/// Comparisons in all: schemas come from plugins, and may be made to take long.
const WORK_MAX: u32 = 20_000;
/// Ways in which a value may be given that are told apart, such as the variants of an enum.
const WAYS_MAX: usize = 64;

/// The first place at which a parent gives what its child cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The way to it, beginning at `output`.
    pub(crate) path: String,
    /// What the parent gives there.
    pub(crate) gives: String,
    /// What the child reads there.
    pub(crate) reads: String,
}

/// Compares the schema of what is given with the schema of what is read.
pub(crate) fn misfit(given: &Json, read: &Json) -> Option<Misfit> {
    let pair = Pair { given, read, work: Cell::new(WORK_MAX) };
    pair.misfit(&[given], read, &Place { path: "output".to_owned(), depth: 0 })
}

struct Pair<'a> {
    given: &'a Json,
    read: &'a Json,
    work: Cell<u32>,
}

struct Place {
    path: String,
    depth: u32,
}

impl Place {
    fn below(&self, step: &str) -> Self {
        Self { path: format!("{}{step}", self.path), depth: self.depth + 1 }
    }

    fn misfit(&self, gives: impl Into<String>, reads: impl Into<String>) -> Misfit {
        Misfit { path: self.path.clone(), gives: gives.into(), reads: reads.into() }
    }
}

/// One way in which a value may be given: schemas that hold at once, and the value's kind where it is known.
#[derive(Clone)]
struct Way<'a> {
    parts: Vec<&'a Map<String, Json>>,
    kind: Option<&'a str>,
    value: Option<&'a Json>,
}

impl<'a> Pair<'a> {
    /// Whether following this further is worth it.
    fn tired(&self, depth: u32) -> bool {
        self.work.set(self.work.get().saturating_sub(1));
        depth > DEPTH_MAX || self.work.get() == 0
    }

    /// Something that is given and cannot be read, if that is certain.
    fn misfit(&self, given: &[&'a Json], read: &'a Json, place: &Place) -> Option<Misfit> {
        if self.tired(place.depth) {
            return None;
        }
        let ways = ways(given, self.given)?;
        ways.iter().find_map(|way| self.way_misfit(way, read, place))
    }

    fn way_misfit(&self, way: &Way<'a>, read: &'a Json, place: &Place) -> Option<Misfit> {
        if self.tired(place.depth) {
            return None;
        }
        let Json::Object(read) = read else {
            return (read == &Json::Bool(false)).then(|| place.misfit(way.described(), "nothing"));
        };
        let of_value = self.value_misfit(way, read, place);
        of_value
            .or_else(|| self.object_misfit(way, read, place))
            .or_else(|| self.array_misfit(way, read, place))
            .or_else(|| {
                conjuncts(read, self.read).find_map(|read| self.way_misfit(way, read, &place.below("")))
            })
            .or_else(|| branches(read).find_map(|branches| self.branch_misfit(way, branches, place)))
    }

    fn value_misfit(&self, way: &Way<'a>, read: &'a Map<String, Json>, place: &Place) -> Option<Misfit> {
        let kinds = kinds(read);
        if let (Some(kind), Some(kinds)) = (way.kind, &kinds)
            && !kinds.iter().any(|read| is_read_as(kind, read))
        {
            return Some(place.misfit(way.described(), kinds_described(kinds)));
        }
        match (way.value, values(read)) {
            (Some(value), Some(values)) if !is_among(value, &values) => {
                Some(place.misfit(value.to_string(), values_described(&values)))
            }
            _ => None,
        }
    }

    fn object_misfit(&self, way: &Way<'a>, read: &'a Map<String, Json>, place: &Place) -> Option<Misfit> {
        if way.kind != Some("object") {
            return None;
        }
        let required = required(read);
        for name in &required {
            let is_left_out = way.says_what_is_required() && !way.requires(name);
            match way.property(name) {
                None if way.is_closed() => {
                    return Some(place.below(&format!(".{name}")).misfit("nothing", "a value"));
                }
                Some(_) if is_left_out => {
                    let place = place.below(&format!(".{name}"));
                    return Some(place.misfit("a value that may be left out", "a value"));
                }
                _ => {}
            }
        }
        let (known, others) = (object(read, "properties"), read.get("additionalProperties"));
        way.properties()
            .find_map(|(name, given)| {
                let place = place.below(&format!(".{name}"));
                match known.and_then(|known| known.get(name)) {
                    Some(read) => self.misfit(&[given], read, &place),
                    None if read.contains_key("patternProperties") => None,
                    None if others == Some(&Json::Bool(false)) => {
                        Some(place.misfit(described(given, self.given), "nothing"))
                    }
                    None => self.misfit(&[given], others?, &place),
                }
            })
            .or_else(|| {
                // Maps: whatever the names, the values must be readable.
                let given = way.parts.iter().find_map(|part| part.get("additionalProperties"))?;
                let values = given.is_object() && known.is_none() && !read.contains_key("patternProperties");
                if values { self.misfit(&[given], others?, &place.below(".*")) } else { None }
            })
    }

    fn array_misfit(&self, way: &Way<'a>, read: &'a Map<String, Json>, place: &Place) -> Option<Misfit> {
        if way.kind != Some("array") {
            return None;
        }
        let part =
            way.parts.iter().find(|part| part.contains_key("items") || part.contains_key("prefixItems"))?;
        let number = |schema: &Map<String, Json>, key: &str| schema.get(key).and_then(Json::as_u64);
        if let (Some(most), Some(least)) = (number(part, "maxItems"), number(read, "minItems"))
            && most < least
        {
            return Some(place.misfit(format!("at most {most} items"), format!("at least {least}")));
        }
        let list = |schema: &'a Map<String, Json>| schema.get("prefixItems").and_then(Json::as_array);
        match (list(part), list(read)) {
            (Some(given), Some(read)) => {
                given.iter().zip(read).enumerate().find_map(|(at, (given, read))| {
                    self.misfit(&[given], read, &place.below(&format!("[{at}]")))
                })
            }
            (Some(given), None) => {
                let read = read.get("items")?;
                given
                    .iter()
                    .enumerate()
                    .find_map(|(at, given)| self.misfit(&[given], read, &place.below(&format!("[{at}]"))))
            }
            (None, None) => self.misfit(&[part.get("items")?], read.get("items")?, &place.below("[]")),
            (None, Some(_)) => None,
        }
    }

    /// A value must be readable in one of several ways. If two are possible, which one it takes is not known here.
    fn branch_misfit(&self, way: &Way<'a>, branches: &'a [Json], place: &Place) -> Option<Misfit> {
        let mut possible = branches.iter().filter(|read| !self.apart(way, read, place.depth));
        match (possible.next(), possible.next()) {
            (Some(only), None) => self.way_misfit(way, only, &place.below("")),
            (None, _) => self.nearest_misfit(way, branches, place).or_else(|| {
                let reads: Vec<String> = branches.iter().map(|branch| described(branch, self.read)).collect();
                Some(place.misfit(way.described(), reads.join(" or ")))
            }),
            (Some(_), Some(_)) => None,
        }
    }

    /// Where the branch that was probably meant does not fit: the one that fits furthest, and not one with another tag.
    fn nearest_misfit(&self, way: &Way<'a>, branches: &'a [Json], place: &Place) -> Option<Misfit> {
        let misfits = branches.iter().filter_map(|read| self.way_misfit(way, read, &place.below("")));
        let within = misfits.filter(|it| it.path.len() > place.path.len() && !it.gives.starts_with('"'));
        within.max_by_key(|it| it.path.matches(['.', '[']).count())
    }

    /// Whether nothing that is given in this way can be read so. Stricter than a misfit, which needs one such value only.
    fn apart(&self, way: &Way<'a>, read: &'a Json, depth: u32) -> bool {
        if self.tired(depth) {
            return false;
        }
        let Json::Object(read) = read else { return read == &Json::Bool(false) };
        let kind_apart = match (way.kind, kinds(read)) {
            (Some(kind), Some(kinds)) => {
                !kinds.iter().any(|read| is_read_as(kind, read) || (kind == "number" && *read == "integer"))
            }
            _ => false,
        };
        let value_apart =
            matches!((way.value, values(read)), (Some(value), Some(values)) if !is_among(value, &values));
        let property_apart = || {
            let known = object(read, "properties");
            way.kind == Some("object")
                && required(read).iter().any(|name| {
                    match (way.property(name), known.and_then(|it| it.get(*name))) {
                        (None, _) => way.is_closed(),
                        (Some(given), Some(read)) => ways(&[given], self.given).is_some_and(|ways| {
                            !ways.is_empty() && ways.iter().all(|way| self.apart(way, read, depth + 1))
                        }),
                        (Some(_), None) => false,
                    }
                })
        };
        kind_apart
            || value_apart
            || property_apart()
            || conjuncts(read, self.read).any(|read| self.apart(way, read, depth + 1))
            || branches(read).any(|branches| branches.iter().all(|read| self.apart(way, read, depth + 1)))
    }
}

impl<'a> Way<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a String, &'a Json)> {
        self.parts.iter().filter_map(|part| object(part, "properties")).flatten()
    }

    fn property(&self, name: &str) -> Option<&'a Json> {
        self.properties().find(|(known, _)| *known == name).map(|(_, schema)| schema)
    }

    /// Whether the names that it lists are all that there are: so it is meant, even where it is not forbidden to add others.
    fn is_closed(&self) -> bool {
        let lists = self.properties().next().is_some();
        let more = |part: &&Map<String, Json>| {
            let others = part.get("additionalProperties").or_else(|| part.get("unevaluatedProperties"));
            let elsewhere = ["patternProperties", "$dynamicRef", "if", "then", "else", "dependentSchemas"];
            others.is_some_and(|others| others != &Json::Bool(false))
                || elsewhere.iter().any(|key| part.contains_key(*key))
        };
        lists && !self.parts.iter().any(more)
    }

    fn requires(&self, name: &str) -> bool {
        self.parts.iter().any(|part| required(part).contains(&name))
    }

    /// Many authors leave `required` out altogether.
    fn says_what_is_required(&self) -> bool {
        self.parts.iter().any(|part| !required(part).is_empty())
    }

    fn described(&self) -> String {
        match (self.value, self.kind) {
            (Some(value), _) => value.to_string(),
            (None, Some(kind)) => kind.to_owned(),
            (None, None) => "any JSON".to_owned(),
        }
    }
}

/// Every way in which a value may be given, or `None` if they are too many, or not to be followed.
fn ways<'a>(schemas: &[&'a Json], root: &'a Json) -> Option<Vec<Way<'a>>> {
    let mut ways = vec![Way { parts: Vec::new(), kind: None, value: None }];
    for schema in schemas {
        ways = narrowed(ways, schema, root, 0)?;
    }
    // One more word on each: its kinds and its values, one by one.
    let mut each = Vec::new();
    for way in ways {
        each.extend(told_apart(way));
        if each.len() > WAYS_MAX {
            return None;
        }
    }
    Some(each)
}

/// The ways that also satisfy this schema.
fn narrowed<'a>(ways: Vec<Way<'a>>, schema: &'a Json, root: &'a Json, depth: u32) -> Option<Vec<Way<'a>>> {
    if depth > DEPTH_MAX || ways.len() > WAYS_MAX {
        return None;
    }
    let Json::Object(schema) = schema else { return Some(ways) };
    let mut ways: Vec<Way<'a>> = ways
        .into_iter()
        .map(|mut way| {
            way.parts.push(schema);
            way
        })
        .collect();
    for conjunct in conjuncts(schema, root) {
        ways = narrowed(ways, conjunct, root, depth + 1)?;
    }
    for branches in branches(schema) {
        let mut all = Vec::new();
        for branch in branches {
            all.extend(narrowed(ways.clone(), branch, root, depth + 1)?);
            if all.len() > WAYS_MAX {
                return None;
            }
        }
        ways = all;
    }
    Some(ways)
}

fn told_apart(way: Way<'_>) -> Vec<Way<'_>> {
    let listed = way.parts.iter().filter_map(|part| values(part));
    let listed = listed.reduce(|a, b| a.into_iter().filter(|value| is_among(value, &b)).collect());
    if let Some(values) = listed {
        let of = |value| Way { value: Some(value), kind: Some(kind_of(value)), parts: way.parts.clone() };
        return values.into_iter().take(WAYS_MAX + 1).map(of).collect();
    }
    // Where several say something of the kind, only what all of them allow is given.
    let said: Vec<BTreeSet<&str>> = way.parts.iter().filter_map(|part| kinds(part)).collect();
    let Some(kinds) = said.into_iter().reduce(|a, b| a.intersection(&b).copied().collect()) else {
        return vec![way];
    };
    kinds.into_iter().map(|kind| Way { kind: Some(kind), ..way.clone() }).collect()
}

/// What must hold beside the keywords of the schema itself.
fn conjuncts<'a>(schema: &'a Map<String, Json>, root: &'a Json) -> impl Iterator<Item = &'a Json> {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?));
    let all = schema.get("allOf").and_then(Json::as_array).into_iter().flatten();
    target.into_iter().chain(all)
}

/// The lists of which one schema must hold.
fn branches(schema: &Map<String, Json>) -> impl Iterator<Item = &[Json]> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array().map(Vec::as_slice))
}

fn object<'a>(schema: &'a Map<String, Json>, key: &str) -> Option<&'a Map<String, Json>> {
    schema.get(key).and_then(Json::as_object)
}

fn required(schema: &Map<String, Json>) -> Vec<&str> {
    let names = schema.get("required").and_then(Json::as_array).into_iter().flatten();
    names.filter_map(Json::as_str).collect()
}

fn kinds(schema: &Map<String, Json>) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Json::String(kind) => Some(BTreeSet::from([kind.as_str()])),
        Json::Array(kinds) => Some(kinds.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn values(schema: &Map<String, Json>) -> Option<Vec<&Json>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Json::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

fn is_read_as(given: &str, read: &str) -> bool {
    given == read || (given == "integer" && read == "number")
}

/// Numbers are equal however they are written.
fn is_among(value: &Json, values: &[&Json]) -> bool {
    values.iter().any(|other| *other == value || (value.is_number() && other.as_f64() == value.as_f64()))
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn kinds_described(kinds: &BTreeSet<&str>) -> String {
    kinds.iter().copied().collect::<Vec<_>>().join(" or ")
}

fn values_described(values: &[&Json]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// What a schema says of a value, in a word.
fn described(schema: &Json, root: &Json) -> String {
    let ways = ways(&[schema], root).unwrap_or_default();
    let kinds: BTreeSet<String> = ways.iter().map(Way::described).collect();
    if kinds.is_empty() { "any JSON".to_owned() } else { kinds.into_iter().collect::<Vec<_>>().join(" or ") }
}

#[cfg(test)]
mod tests;
