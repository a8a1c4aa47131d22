//! Array tables of the configuration file, such as `[[grants]]`, read field by field: what is wrong is noted with its place, and
//! reading goes on.

use std::cell::RefCell;
use std::rc::Rc;

use stepwright_workflow::template::values::size_bytes;
use toml::de::{DeArray, DeTable, DeValue};

use super::ConfigProblem;
use super::layers::{nearest, place};

/// The file that is read, and what is wrong with it.
#[derive(Debug)]
struct Page {
    file: String,
    text: String,
    problems: RefCell<Vec<ConfigProblem>>,
}

/// One table, with everything below it.
#[derive(Debug)]
pub(super) struct Entry {
    page: Rc<Page>,
    /// Its key from the top, such as `grants[2].limits`.
    path: String,
    at: usize,
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    key: String,
    at: usize,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(String),
    Flag(bool),
    List(Vec<(usize, Value)>),
    Table(Vec<Field>),
    Other,
}

impl Value {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Number(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Array(list) => Self::list(list),
            DeValue::Table(table) => Self::Table(Self::fields(table)),
            DeValue::Float(_) | DeValue::Datetime(_) => Self::Other,
        }
    }

    fn list(list: &DeArray<'_>) -> Self {
        Self::List(list.iter().map(|item| (item.span().start, Self::of(item.get_ref()))).collect())
    }

    fn fields(table: &DeTable<'_>) -> Vec<Field> {
        let fields = table.iter().map(|(key, value)| Field {
            key: key.get_ref().to_string(),
            at: key.span().start,
            value: Self::of(value.get_ref()),
        });
        fields.collect()
    }
}

/// The tables of an array at the top of a file, and every problem that is found while `read` takes them in.
pub(super) fn tables<T>(
    (file, text): (&str, &str),
    key: &str,
    value: &toml::Spanned<DeValue<'_>>,
    read: impl Fn(&Entry) -> Option<T>,
) -> (Vec<T>, Vec<ConfigProblem>) {
    let problems = RefCell::default();
    let page = Rc::new(Page { file: file.to_owned(), text: text.to_owned(), problems });
    let all = Entry { page, path: String::new(), at: value.span().start, fields: Vec::new() };
    let found = match Value::of(value.get_ref()) {
        Value::List(list) => all.tables_of(key, list).iter().filter_map(read).collect(),
        _ => {
            all.note(all.at, key, format!("expected tables; write [[{key}]] over each"));
            Vec::new()
        }
    };
    (found, all.page.problems.take())
}

impl Entry {
    /// The file with line and column.
    pub(super) fn place(&self) -> String {
        place(&self.page.file, &self.page.text, self.at)
    }

    /// Problems that were noted so far, in the whole file.
    pub(super) fn problems(&self) -> usize {
        self.page.problems.borrow().len()
    }

    /// Notes what is wrong with a field.
    pub(super) fn problem(&self, key: &str, problem: impl Into<String>) {
        let field = key.split(['[', '.']).next().unwrap_or(key);
        let at = self.fields.iter().find(|other| other.key == field).map_or(self.at, |field| field.at);
        self.note(at, &self.full(key), problem.into());
    }

    fn note(&self, at: usize, key: &str, problem: String) {
        let origin = place(&self.page.file, &self.page.text, at);
        self.page.problems.borrow_mut().push(ConfigProblem { origin, key: key.to_owned(), problem });
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What was read, or a problem with the field.
    pub(super) fn checked<T, E: std::fmt::Display>(&self, key: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.problem(key, error.to_string())).ok()
    }

    /// Notes every field of another name.
    pub(super) fn known(&self, keys: &[&str]) {
        for Field { key, at, .. } in &self.fields {
            if !keys.contains(&key.as_str()) {
                let nearest = nearest(key, keys.iter().map(|key| (*key).to_owned()))
                    .unwrap_or_else(|| format!("known are {}", keys.join(", ")));
                self.note(*at, &self.full(key), format!("unknown field; {nearest}"));
            }
        }
    }

    /// The names of its fields.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.key.as_str())
    }

    fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match &self.field(key)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                self.problem(key, "expected a text");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, key: &str) -> Option<String> {
        if self.field(key).is_none() {
            self.problem(key, "is missing");
        }
        self.text(key)
    }

    /// A size such as `64MiB`, in bytes.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        self.checked(key, size_bytes(&self.text(key)?))
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        match &self.field(key)?.value {
            Value::Number(number) if number.parse::<u32>().is_ok() => number.parse().ok(),
            _ => {
                self.problem(key, format!("expected a whole number from 0 to {}", u32::MAX));
                None
            }
        }
    }

    /// `true` or `false`; the latter if it is not there.
    pub(super) fn flag(&self, key: &str) -> bool {
        match self.field(key).map(|field| &field.value) {
            None => false,
            Some(Value::Flag(flag)) => *flag,
            Some(_) => {
                self.problem(key, "expected true or false");
                false
            }
        }
    }

    /// A list of texts, each with the key that names it in problems.
    pub(super) fn texts(&self, key: &str) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        match self.field(key).map(|field| &field.value) {
            None => {}
            Some(Value::List(list)) => {
                for (position, (at, item)) in list.iter().enumerate() {
                    let key = format!("{key}[{position}]");
                    match item {
                        Value::Text(text) => texts.push((key, text.clone())),
                        _ => self.note(*at, &self.full(&key), "expected a text".to_owned()),
                    }
                }
            }
            Some(_) => self.problem(key, "expected a list of texts, such as [\"a\", \"b\"]"),
        }
        texts
    }

    /// A table.
    pub(super) fn table(&self, key: &str) -> Option<Self> {
        let field = self.field(key)?;
        match &field.value {
            Value::Table(fields) => Some(self.below(self.full(key), field.at, fields.clone())),
            _ => {
                self.problem(key, "expected a table, such as { name = \"value\" }");
                None
            }
        }
    }

    /// A text, or a table in its place.
    pub(super) fn text_or_table(&self, key: &str) -> Option<Result<String, Self>> {
        match &self.field(key)?.value {
            Value::Table(_) => self.table(key).map(Err),
            _ => self.text(key).map(Ok),
        }
    }

    /// A list of tables.
    pub(super) fn tables(&self, key: &str) -> Vec<Self> {
        match self.field(key).map(|field| &field.value) {
            None => Vec::new(),
            Some(Value::List(list)) => self.tables_of(&self.full(key), list.clone()),
            Some(_) => {
                self.problem(key, "expected a list of tables, such as [{ name = \"value\" }]");
                Vec::new()
            }
        }
    }

    fn tables_of(&self, path: &str, list: Vec<(usize, Value)>) -> Vec<Self> {
        let mut tables = Vec::new();
        for (position, (at, item)) in list.into_iter().enumerate() {
            let path = format!("{path}[{position}]");
            match item {
                Value::Table(fields) => tables.push(self.below(path, at, fields)),
                _ => self.note(at, &path, "expected a table".to_owned()),
            }
        }
        tables
    }

    fn below(&self, path: String, at: usize, fields: Vec<Field>) -> Self {
        Self { page: Rc::clone(&self.page), path, at, fields }
    }
}
