//! What there is to say about a file: errors, which leave nothing to write, and warnings. Both say where, what, and what to do.

use stepwright_workflow::template::Problem;

use super::yaml::Place;

/// A value is shown up to so many characters.
const VALUE_CHARS_MAX: usize = 80;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) at: Place,
    /// The way to it, such as `step_templates[2].depends_on_step`.
    pub(super) field: String,
    /// The value as written.
    pub(super) value: Option<String>,
}

impl Spot {
    /// The value for messages.
    pub(super) fn shown(&self) -> &str {
        self.value.as_deref().unwrap_or("nothing")
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Notes {
    file: String,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Notes {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Something is wrong, and `help` says what would be right.
    pub(super) fn error(&mut self, spot: &Spot, problem: impl Into<String>, help: impl Into<String>) {
        let problem = self.problem(spot, problem.into(), help.into());
        self.errors.push(problem);
    }

    /// Something is lost or changes, and `help` says what to do about it.
    pub(super) fn warn(&mut self, spot: &Spot, problem: impl Into<String>, help: impl Into<String>) {
        let problem = self.problem(spot, problem.into(), help.into());
        self.warnings.push(problem);
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<Problem> {
        sorted(self.errors)
    }

    pub(super) fn take_warnings(&mut self) -> Vec<Problem> {
        sorted(std::mem::take(&mut self.warnings))
    }

    fn problem(&self, spot: &Spot, problem: String, help: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line: spot.at.line,
            column: spot.at.column,
            field: spot.field.clone(),
            value: spot.value.as_deref().map(short),
            problem,
            help: Some(help),
        }
    }
}

/// A value that is not too long to be shown.
pub(super) fn short(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS_MAX {
        return value.to_owned();
    }
    value.chars().take(VALUE_CHARS_MAX - 1).chain(std::iter::once('…')).collect()
}

/// In the order of the file, each once: what several environments share may be found several times.
fn sorted(mut notes: Vec<Problem>) -> Vec<Problem> {
    notes.sort_by(|a, b| {
        (a.line, a.column, &a.field, &a.problem).cmp(&(b.line, b.column, &b.field, &b.problem))
    });
    notes.dedup();
    notes
}
