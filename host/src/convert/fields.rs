//! Values out of the tree, each an error where it is not what it should be. A value that is written as nothing is not there.

use super::notes::{Notes, Spot};
use super::yaml::{Node, Place, Value};

/// A text, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) spot: Spot,
}

/// The entries of one mapping.
pub(super) struct Fields<'a> {
    pub(super) field: String,
    pub(super) at: Place,
    entries: &'a [(super::yaml::Key, Node)],
}

impl<'a> Fields<'a> {
    /// The mapping at `node`, or an error.
    pub(super) fn of(node: &'a Node, field: &str, notes: &mut Notes) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self { field: field.to_owned(), at: node.at, entries }),
            _ => {
                let what = format!("expected a mapping, found {}", node.kind());
                notes.error(&node.spot(field), what, "write fields with their values below it");
                None
            }
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let found = self.entries.iter().find(|(candidate, _)| candidate.text == key).map(|(_, node)| node);
        found.filter(|node| node.value != Value::Null)
    }

    /// Every key that is not among these, with its value.
    pub(super) fn others<'k>(
        &self,
        known: &'k [&'k str],
    ) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a, 'k> {
        let entries = self.entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str()));
        entries.map(|(key, node)| (key.text.as_str(), node))
    }

    /// The path of a key.
    pub(super) fn path(&self, key: &str) -> String {
        if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) }
    }

    /// Where a key stands; where the mapping does, if it is not there.
    pub(super) fn spot(&self, key: &str) -> Spot {
        let missing = || Spot { at: self.at, field: self.path(key), value: None };
        self.get(key).map_or_else(missing, |node| node.spot(&self.path(key)))
    }

    /// An error if the key is not there.
    pub(super) fn required(&self, key: &str, help: &str, notes: &mut Notes) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            notes.error(&self.spot(key), format!("'{key}' is missing"), help);
        }
        found
    }

    pub(super) fn text(&self, key: &str, notes: &mut Notes) -> Option<Named> {
        let node = self.get(key)?;
        text(node, &self.path(key), notes)
    }

    /// A text, or another scalar as it was written.
    pub(super) fn scalar(&self, key: &str, notes: &mut Notes) -> Option<String> {
        let node = self.get(key)?;
        match &node.value {
            Value::List(_) | Value::Map(_) => {
                let what = format!("expected a text, found {}", node.kind());
                notes.error(&self.spot(key), what, format!("write '{key}: \"…\"'"));
                None
            }
            _ => self.spot(key).value,
        }
    }

    pub(super) fn boolean(&self, key: &str, notes: &mut Notes) -> Option<bool> {
        let node = self.get(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        let what = format!("'{}' is not a boolean", self.spot(key).shown());
        notes.error(&self.spot(key), what, format!("write '{key}: true' or '{key}: false'"));
        None
    }

    pub(super) fn whole(&self, key: &str, notes: &mut Notes) -> Option<i64> {
        let node = self.get(key)?;
        let whole = match &node.value {
            Value::Number(number, _) => number.as_i64(),
            _ => None,
        };
        if whole.is_none() {
            let what = format!("'{}' is not a whole number", self.spot(key).shown());
            notes.error(&self.spot(key), what, format!("write '{key}: 3', for instance"));
        }
        whole
    }

    pub(super) fn texts(&self, key: &str, notes: &mut Notes) -> Option<Vec<Named>> {
        let path = self.path(key);
        let items = list(self.get(key)?, &path, notes)?;
        let texts =
            items.iter().enumerate().filter_map(|(at, item)| text(item, &format!("{path}[{at}]"), notes));
        Some(texts.collect())
    }
}

/// The items of a list, or an error.
pub(super) fn list<'a>(node: &'a Node, field: &str, notes: &mut Notes) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(items) => Some(items),
        _ => {
            let what = format!("expected a list, found {}", node.kind());
            notes.error(&node.spot(field), what, "write one '- …' a line below it");
            None
        }
    }
}

fn text(node: &Node, field: &str, notes: &mut Notes) -> Option<Named> {
    let spot = node.spot(field);
    match &node.value {
        Value::Text(name) => Some(Named { name: name.clone(), spot }),
        _ => {
            let what = format!("expected a text, found {} '{}'", node.kind(), spot.shown());
            notes.error(&spot, what, "write a text; in quotes, if it looks like a number or a boolean");
            None
        }
    }
}

/// "did you mean …" for a name that is nearly one of these.
pub(super) fn suggest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let nearest = known.into_iter().map(|name| (strsim::damerau_levenshtein(wanted, name), name)).min();
    let (_, name) = nearest
        .filter(|(distance, name)| *distance <= (wanted.len() / 3).max(2) && *distance < name.len())?;
    Some(format!("did you mean '{name}'?"))
}
