//! How a command ends, and what a person or a program reads when it fails.

use std::fmt::Display;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use stepwright_workflow::chain;

/// How a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Well: 0.
    Good,
    /// With an error of its own: 1.
    Failed,
    /// A task that was waited for stands in `error`: 2.
    TaskError,
    /// A task that was waited for was cancelled: 3.
    TaskCancelled,
    /// A task that was waited for did not end in time: 4.
    TimedOut,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Good => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::TaskError => Self::from(2),
            Exit::TaskCancelled => Self::from(3),
            Exit::TimedOut => Self::from(4),
        }
    }
}

/// Why a command failed: a sentence, and every single problem where there are several.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    problems: Vec<(String, Value)>,
}

impl CliError {
    /// A sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), problems: Vec::new() }
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The sentence and every single problem.
    pub(crate) fn text(&self) -> String {
        let problems: Vec<&str> = self.problems.iter().map(|(line, _)| line.as_str()).collect();
        if problems.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.message, problems.join("; "))
        }
    }

    /// A sentence, followed by an error and its sources.
    pub(crate) fn caused(message: impl Display, error: &dyn std::error::Error) -> Self {
        Self::new(format!("{message}: {}", chain(error)))
    }

    /// A sentence over a list of problems.
    pub(crate) fn listed<P: Display + Serialize>(message: impl Into<String>, problems: &[P]) -> Self {
        let value = |problem: &P| serde_json::to_value(problem).unwrap_or(Value::Null);
        Self {
            message: message.into(),
            problems: problems.iter().map(|problem| (problem.to_string(), value(problem))).collect(),
        }
    }

    /// Prints it to stderr: lines, or one JSON object `{"error": …, "problems": […]}`.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            let problems: Vec<&Value> = self.problems.iter().map(|(_, value)| value).collect();
            eprintln!("{}", json!({ "error": self.message, "problems": problems }));
            return;
        }
        eprintln!("error: {}", self.message);
        for (line, _) in &self.problems {
            eprintln!("  {line}");
        }
    }
}

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::new(chain(&error))
    }
}
