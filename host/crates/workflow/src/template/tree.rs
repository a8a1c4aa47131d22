//! YAML as a tree in which every node knows where it stands. Plain scalars are read by the core schema; anchors, aliases,
//! tags, repeated keys and several documents are problems.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value as Json};

use super::problem::Problems;

/// Nesting beyond this is nobody's template.
const DEPTH_MAX: usize = 64;

/// Line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    fn of(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As written, since `1.0` may be meant as a text.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Place,
}

impl Node {
    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The scalar as written; `None` for lists and mappings.
    pub(crate) fn shown(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(text) | Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(crate) fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(text) => number(text).map_or_else(|| Json::String(text.clone()), Json::Number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// Where the value at a JSON pointer stands, or the nearest one above it.
    pub(crate) fn place(&self, pointer: &str) -> Place {
        let mut node = self;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                Value::List(items) => segment.parse::<usize>().ok().and_then(|at| items.get(at)),
                Value::Map(entries) => {
                    entries.iter().find(|(key, _)| key.text == segment).map(|(_, node)| node)
                }
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node.at
    }
}

/// Reads one document. What can be read is returned even if there were problems.
pub(crate) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut reader = Reader { parser: Parser::new_from_str(text), problems };
    reader.document()
}

struct Reader<'text, 'problems> {
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    problems: &'problems mut Problems,
}

impl<'text> Reader<'text, '_> {
    fn next(&mut self) -> Option<(Event<'text>, Span)> {
        match self.parser.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                self.syntax(&error);
                None
            }
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = Place { line: error.marker().line(), column: error.marker().col() + 1 };
        self.problems.add(at, "", None, format!("the YAML cannot be read: {}", error.info()), None);
    }

    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return root,
                event if root.is_none() => root = self.node(event, span, 0),
                event => {
                    let help = Some("put each template into a file of its own".to_owned());
                    self.problems.add(
                        Place::of(span),
                        "",
                        None,
                        "a second document begins here".to_owned(),
                        help,
                    );
                    self.node(event, span, 0);
                    return root;
                }
            }
        }
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Option<Node> {
        let at = Place::of(span);
        if depth > DEPTH_MAX {
            self.problems.add(at, "", None, format!("values are nested more than {DEPTH_MAX} deep"), None);
            return None;
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(at, anchor, tag.is_some());
                scalar(&text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(at, anchor, tag.is_some());
                self.list(depth)?
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(at, anchor, tag.is_some());
                self.map(depth)?
            }
            Event::Alias(_) => {
                self.unwanted(at, "an alias (*name)", "write the value out");
                Value::Null
            }
            _ => return None,
        };
        Some(Node { value, at })
    }

    fn plain(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.unwanted(at, "an anchor (&name)", "write the value out wherever it is used");
        }
        if tagged {
            self.unwanted(at, "a tag (!name)", "write the plain value; quote it if it is a text");
        }
    }

    fn unwanted(&mut self, at: Place, what: &str, help: &str) {
        self.problems.add(
            at,
            "",
            None,
            format!("{what} is not allowed in a template"),
            Some(help.to_owned()),
        );
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(Value::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = Place::of(span);
            let key = match event {
                Event::MappingEnd => return Some(Value::Map(entries)),
                Event::Scalar(text, _, anchor, tag) => {
                    self.plain(at, anchor, tag.is_some());
                    Key { text: text.into_owned(), at }
                }
                other => {
                    self.unwanted(at, "a key that is not a text", "write a name");
                    self.node(other, span, depth + 1);
                    Key { text: String::new(), at }
                }
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if let Some((first, _)) = entries.iter().find(|(earlier, _)| earlier.text == key.text) {
                let what = format!("the key '{}' stands here a second time", key.text);
                let help = Some(format!("keep one of the two; the first is on line {}", first.at.line));
                self.problems.add(at, &key.text, None, what, help);
            } else {
                entries.push((key, node));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text if number(text).is_some() => Value::Number(text.to_owned()),
        text => Value::Text(text.to_owned()),
    }
}

/// A number as the core schema and JSON both know it.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
