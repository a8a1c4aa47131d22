//! Values out of the tree, each with a problem where it is not what it should be.

use super::problem::{Problems, suggest};
use super::tree::{Key, Node, Place, Value};

/// The entries of one mapping, taken one by one; what nobody takes is unknown.
pub(crate) struct Fields<'a> {
    pub(crate) field: String,
    pub(crate) at: Place,
    entries: &'a [(Key, Node)],
    known: &'static [&'static str],
}

impl<'a> Fields<'a> {
    /// The mapping at `node`, or a problem. Unknown keys are problems.
    pub(crate) fn of(
        node: &'a Node,
        field: &str,
        known: &'static [&'static str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let help = Some(format!("write a mapping with some of {}", known.join(", ")));
            problems.add(
                node.at,
                field,
                node.shown(),
                format!("expected a mapping, found {}", node.kind()),
                help,
            );
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let what = format!("unknown key '{}'", key.text);
            problems.add(
                key.at,
                &join(field, &key.text),
                None,
                what,
                suggest(&key.text, known.iter().copied()),
            );
        }
        Some(Self { field: field.to_owned(), at: node.at, entries, known })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.known.contains(&key), "{key} is read but not listed as known");
        self.entries.iter().find(|(candidate, _)| candidate.text == key).map(|(_, node)| node)
    }

    pub(crate) fn path(&self, key: &str) -> String {
        join(&self.field, key)
    }

    /// A problem if the key is not there.
    pub(crate) fn required(&self, key: &str, help: &str, problems: &mut Problems) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(
                self.at,
                &self.path(key),
                None,
                format!("'{key}' is missing"),
                Some(help.to_owned()),
            );
        }
        found
    }

    /// A value made from a text, or a problem.
    pub(crate) fn text<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        make: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<(T, Place)> {
        let node = self.get(key)?;
        text(node, &self.path(key), problems, make).map(|value| (value, node.at))
    }

    /// A whole number within bounds, or a problem.
    pub(crate) fn number(
        &self,
        key: &str,
        (least, most): (u64, u64),
        problems: &mut Problems,
    ) -> Option<u64> {
        let node = self.get(key)?;
        let number = match &node.value {
            Value::Number(text) => text.parse::<u64>().ok(),
            _ => None,
        };
        let fits = number.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            let found = node.shown().unwrap_or_else(|| node.kind().to_owned());
            let what = format!("'{found}' is not a whole number from {least} to {most}");
            problems.add(node.at, &self.path(key), node.shown(), what, None);
        }
        fits
    }
}

/// A value made from a scalar's text, or a problem.
pub(crate) fn text<T>(
    node: &Node,
    field: &str,
    problems: &mut Problems,
    make: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let Some(written) = node.shown() else {
        problems.add(node.at, field, None, format!("expected a text, found {}", node.kind()), None);
        return None;
    };
    match make(&written) {
        Ok(value) => Some(value),
        Err(what) => {
            problems.add(node.at, field, Some(written), what, None);
            None
        }
    }
}

/// The items of a list, or a problem.
pub(crate) fn list<'a>(node: &'a Node, field: &str, problems: &mut Problems) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        _ => {
            problems.add(
                node.at,
                field,
                node.shown(),
                format!("expected a list, found {}", node.kind()),
                None,
            );
            &[]
        }
    }
}

pub(crate) fn join(field: &str, key: &str) -> String {
    if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") }
}
