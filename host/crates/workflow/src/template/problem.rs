//! What is wrong with a template, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::tree::Place;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The template's file, or its name in the store.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// The way to the value, such as `steps[2].depends_on[0]`; empty for the whole file.
    pub field: String,
    /// The value as written, where it is short enough to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

macro_rules! listed {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{}", lines(.0))]
        pub struct $name(pub(crate) Vec<Problem>);

        impl $name {
            /// Each problem, in the order of the file.
            pub fn problems(&self) -> &[Problem] {
                &self.0
            }
        }
    )*};
}

listed! {
    /// Why a file is no template: every reason.
    TemplateProblems;
    /// Why a template does not fit the registered plugins: every reason.
    ResolveProblems;
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Problems while they are being found.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    found: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "each is one field of the problem, and a struct would only name them twice"
    )]
    pub(crate) fn add(
        &mut self,
        at: Place,
        field: &str,
        value: Option<String>,
        problem: String,
        help: Option<String>,
    ) {
        self.found.push(Problem {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            value: value.map(|value| value.chars().take(80).collect()),
            problem,
            help,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Sorted by place, each once: several environments may find the same.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by(|a, b| {
            (a.line, a.column, &a.field, &a.problem).cmp(&(b.line, b.column, &b.field, &b.problem))
        });
        self.found.dedup();
        self.found
    }
}

/// "did you mean …" for the nearest of the known names, or a list of them if there are few.
pub(crate) fn suggest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(wanted, name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= (wanted.len() / 3).max(2) && distance < name.len() => {
            Some(format!("did you mean '{name}'?"))
        }
        Some(_) if known.len() <= 20 => Some(format!("known are {}", known.join(", "))),
        _ => None,
    }
}
