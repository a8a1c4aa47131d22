//! YAML as the earlier system's Ruby reads it, as a tree in which every node knows where it stands. That is YAML 1.1 with Psych's own
//! numbers: `yes` is true, `010` is eight, `1e3` is a text; aliases and merge keys are resolved.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value as Json};

use super::notes::{Notes, Spot};

/// Nesting beyond this is nobody's template.
const DEPTH_MAX: usize = 64;
/// Nodes beyond this are none either; aliases of aliases grow fast.
const NODES_MAX: usize = 100_000;

/// Line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// With what was written, since `1.0` may be a version.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Place,
}

impl Node {
    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(..) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    pub(super) fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number, _) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// Where it stands, under this field.
    pub(super) fn spot(&self, field: &str) -> Spot {
        let value = match &self.value {
            Value::Null => None,
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(_, text) | Value::Text(text) => Some(text.clone()),
            Value::List(_) | Value::Map(_) => Some(self.json().to_string()),
        };
        Spot { at: self.at, field: field.to_owned(), value }
    }

    /// Where the value at the end of a path of keys stands, or the nearest one above it.
    pub(super) fn nearest(&self, field: &str) -> Place {
        let mut node = self;
        for key in field.split('.') {
            let Value::Map(entries) = &node.value else { break };
            let Some((_, next)) = entries.iter().find(|(candidate, _)| candidate.text == key) else { break };
            node = next;
        }
        node.at
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::count).sum::<usize>(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum(),
            _ => 0,
        }
    }
}

/// Reads one document; `None` if it cannot be read, and the reason is in the notes.
pub(super) fn read(text: &str, notes: &mut Notes) -> Option<Node> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), left: NODES_MAX, notes };
    reader.document()
}

struct Reader<'text, 'notes> {
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    anchors: HashMap<usize, Node>,
    /// How many nodes there may still be.
    left: usize,
    notes: &'notes mut Notes,
}

impl<'text> Reader<'text, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                event if root.is_none() => root = Some(self.node(event, at, 0)?),
                _ => {
                    return self.refuse(
                        at,
                        "a second document begins here",
                        "put each template into a file of its own",
                    );
                }
            }
        }
        if root.is_none() {
            self.refuse(Place { line: 1, column: 1 }, "the file is empty", "a template begins with 'name:'")?;
        }
        root
    }

    fn next(&mut self) -> Option<(Event<'text>, Place)> {
        match self.parser.next_event()? {
            Ok((event, span)) => Some((event, place(span))),
            Err(error) => {
                let at = Place { line: error.marker().line(), column: error.marker().col() + 1 };
                let what = format!("the YAML cannot be read: {}", error.info());
                self.refuse(at, &what, "mend the file so that Ruby's YAML.load_file reads it")
            }
        }
    }

    fn refuse<T>(&mut self, at: Place, what: &str, help: &str) -> Option<T> {
        self.notes.error(&Spot { at, field: String::new(), value: None }, what, help);
        None
    }

    fn node(&mut self, event: Event<'text>, at: Place, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            let what = format!("values are nested more than {DEPTH_MAX} deep");
            return self.refuse(at, &what, "write them flatter");
        }
        self.count(1, at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced =
                    tag.as_deref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                self.untagged(tag.as_deref().filter(|_| !forced), at)?;
                let plain = style == ScalarStyle::Plain && !forced;
                (if plain { scalar(&text) } else { Value::Text(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.untagged(tag.as_deref(), at)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.untagged(tag.as_deref(), at)?;
                (self.map(depth)?, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, at),
            _ => return None,
        };
        let node = Node { value, at };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Some(node)
    }

    fn count(&mut self, nodes: usize, at: Place) -> Option<()> {
        match self.left.checked_sub(nodes) {
            Some(left) => {
                self.left = left;
                Some(())
            }
            None => {
                let what = format!("the file has more than {NODES_MAX} values");
                self.refuse(at, &what, "write fewer aliases (*name) of large values")
            }
        }
    }

    fn untagged(&mut self, tag: Option<&Tag>, at: Place) -> Option<()> {
        let Some(tag) = tag else { return Some(()) };
        let what = format!("the tag '{}{}' is not known here", tag.handle, tag.suffix);
        self.refuse(at, &what, "write the plain value; quote it if it is a text")
    }

    /// A copy of what the anchor stands for, at the place of the alias: that is where a reader looks.
    fn alias(&mut self, anchor: usize, at: Place) -> Option<Node> {
        let Some(node) = self.anchors.get(&anchor) else {
            return self.refuse(at, "an alias (*name) stands within its own anchor", "write the value out");
        };
        let (nodes, copy) = (node.count(), Node { at, ..node.clone() });
        self.count(nodes, at)?;
        Some(copy)
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(Value::List(items)),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let (mut entries, mut merged) = (Vec::<(Key, Node)>::new(), Vec::<(Key, Node)>::new());
        loop {
            let (key, at, plain) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, style, ..), at) => (text.into_owned(), at, style == ScalarStyle::Plain),
                (_, at) => return self.refuse(at, "a key that is not a text", "write a name"),
            };
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at, depth + 1)?;
            if key == "<<" && plain {
                merged.extend(self.merge(node)?);
            } else if let Some((first, _)) = entries.iter().find(|(earlier, _)| earlier.text == key) {
                let help = format!(
                    "keep one of the two; the first is on line {}, and the last one counted",
                    first.at.line
                );
                let spot = Spot { at, field: key.clone(), value: None };
                self.notes.error(&spot, format!("the key '{key}' stands here a second time"), help);
            } else {
                entries.push((Key { text: key, at }, node));
            }
        }
        // What is written stands above what is merged, and the first merged one above those after it.
        for (key, node) in merged {
            if entries.iter().all(|(known, _)| known.text != key.text) {
                entries.push((key, node));
            }
        }
        Some(Value::Map(entries))
    }

    /// The entries that a merge key brings.
    fn merge(&mut self, node: Node) -> Option<Vec<(Key, Node)>> {
        match node.value {
            Value::Map(entries) => Some(entries),
            Value::List(items) => {
                let merged: Option<Vec<_>> = items.into_iter().map(|item| self.merge(item)).collect();
                Some(merged?.into_iter().flatten().collect())
            }
            _ => self.refuse(node.at, "'<<' merges no mapping", "write '<<: *name', where name is one"),
        }
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

/// A plain scalar.
fn scalar(text: &str) -> Value {
    if ["", "~", "null", "Null", "NULL"].contains(&text) {
        return Value::Null;
    }
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "yes" | "true" | "on" => return Value::Bool(true),
        "no" | "false" | "off" => return Value::Bool(false),
        _ => {}
    }
    if let Some(number) = whole(text).or_else(|| fraction(text)) {
        return Value::Number(number, text.to_owned());
    }
    // A symbol reads like the text of the same name once it is JSON.
    let symbol =
        text.strip_prefix(':').filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '_'));
    Value::Text(symbol.unwrap_or(text).to_owned())
}

fn whole(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit())
        || digits.contains("__")
        || digits.ends_with(['_', ','])
    {
        return None;
    }
    let value = if digits.contains(':') { base_60(digits)? } else { based(&digits.replace(['_', ','], ""))? };
    let value = if negative { -value } else { value };
    i64::try_from(value).map(Number::from).or_else(|_| u64::try_from(value).map(Number::from)).ok()
}

fn based(digits: &str) -> Option<i128> {
    let lower = digits.to_ascii_lowercase();
    let (rest, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    // 'from_str_radix' takes a sign of its own.
    if rest.starts_with(['+', '-']) { None } else { i128::from_str_radix(rest, radix).ok() }
}

/// `12:30` and `12:30:15` are seconds to Ruby, both with hours first.
fn base_60(digits: &str) -> Option<i128> {
    let parts: Vec<i128> = digits.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let fits = parts.len() <= 3 && parts.iter().skip(1).all(|part| (0..60).contains(part));
    let seconds = || parts.iter().zip([3_600, 60, 1]).map(|(part, factor)| part.checked_mul(factor)).sum();
    if fits { seconds() } else { None }
}

/// A number with a point. Without one, `1e3` is a text to Ruby.
fn fraction(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | ',' | 'e' | 'E' | '+' | '-');
    if !digits.contains('.') || digits.len() < 2 || !digits.chars().all(known) {
        return None;
    }
    text.replace(['_', ','], "").parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_what_ruby_makes_of_them() {
        let mut notes = Notes::new("a.yaml");
        // The values are those of Ruby 3.1 with Psych 4.0.3.
        let text = "{a: 010, b: 1_000, c: yes, d: 12:30, e: :sym, g: 0x1F, h: .5, i: 1e3, j: 1.5e+3, k: +5, l: 08, m: y, n: 1., \
             o: 0b11, p: -0, q: 1__0, r: 0o17, s: ~, t: 'yes', u: !!str 5, v: Off, w: 1.0.0, x: -7}";
        let read = read(text, &mut notes).unwrap().json();
        let expected = json!({"a": 8, "b": 1000, "c": true, "d": 45000, "e": "sym", "g": 31, "h": 0.5, "i": "1e3", "j": 1500.0,
            "k": 5, "l": "08", "m": "y", "n": 1.0, "o": 3, "p": 0, "q": "1__0", "r": "0o17", "s": null, "t": "yes", "u": "5",
            "v": false, "w": "1.0.0", "x": -7});
        assert_eq!(read, expected);
        assert!(!notes.has_errors());
    }

    #[test]
    fn aliases_and_merges_are_resolved_within_a_limit() {
        let text = "base: &base { a: 1, b: 2 }\nother: { <<: *base, b: 3 }\nlist: [*base, { <<: [*base, { c: 4 }] }]\n";
        let mut notes = Notes::new("a.yaml");
        let read_json = read(text, &mut notes).unwrap().json();
        assert_eq!(read_json["other"], json!({"b": 3, "a": 1}));
        assert_eq!(read_json["list"], json!([{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 4}]));

        let refused = |text: &str, expect: &str| {
            let mut notes = Notes::new("a.yaml");
            read(text, &mut notes);
            let errors: Vec<String> = notes.into_errors().iter().map(ToString::to_string).collect();
            assert!(errors.iter().any(|error| error.contains(expect)), "{text}: {errors:?}");
        };
        let nine = |name: &str| format!("[{}]", vec![format!("*{name}"); 9].join(", "));
        let mut bomb = "a: &a x\n".to_owned();
        for (name, below) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
            bomb.push_str(&format!("{name}: &{name} {}\n", nine(below)));
        }
        refused(&bomb, "more than 100000 values");
        refused("a: &a [*a]\n", "a.yaml:1:8: an alias (*name) stands within its own anchor");
        refused("a: 1\na: 2\n", "a.yaml:2:1: a: the key 'a' stands here a second time; keep one of the two");
        refused("a: !ruby/object:Object {}\n", "the tag '!ruby/object:Object' is not known here");
        refused("a: [1\nb: 2\n", "a.yaml:2:");
        refused("a: 1\n---\nb: 2\n", "a second document");
        refused("", "the file is empty");
        refused("? [a]\n: 1\n", "a key that is not a text");
        refused("<<: 1\n", "'<<' merges no mapping");
        refused(&format!("{}1{}", "[".repeat(80), "]".repeat(80)), "nested more than 64 deep");
    }
}
