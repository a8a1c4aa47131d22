//! A task's context against its template's schema.

use serde::Serialize;
use serde_json::Value as Json;

use crate::Payload;

/// A compiled JSON Schema.
#[derive(Debug)]
pub struct ContextSchema(jsonschema::Validator);

/// A schema that cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadSchema(String);

/// One thing that is wrong with a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContextProblem {
    /// The JSON pointer of the value; empty for the whole context.
    pub pointer: String,
    /// What is wrong, naming the value and what would be right.
    pub problem: String,
}

/// Everything that is wrong with a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ContextProblems(Vec<ContextProblem>);

impl ContextProblems {
    /// Each problem.
    pub fn problems(&self) -> &[ContextProblem] {
        &self.0
    }
}

fn lines(problems: &[ContextProblem]) -> String {
    let line = |problem: &ContextProblem| {
        let pointer = if problem.pointer.is_empty() { "the context" } else { &problem.pointer };
        format!("{pointer}: {}", problem.problem)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl ContextSchema {
    /// Compiles a schema.
    pub fn compile(schema: &Payload) -> Result<Self, BadSchema> {
        let schema: Json = schema.read().map_err(|error| BadSchema(error.to_string()))?;
        jsonschema::validator_for(&schema).map(Self).map_err(|error| BadSchema(error.to_string()))
    }

    /// Checks a context and lists everything that is wrong with it.
    pub fn check(&self, context: &Payload) -> Result<(), ContextProblems> {
        let value: Json = context.read().map_err(|error| {
            ContextProblems(vec![ContextProblem {
                pointer: String::new(),
                problem: format!("not JSON: {error}"),
            }])
        })?;
        let problems: Vec<ContextProblem> = self
            .0
            .iter_errors(&value)
            .map(|error| ContextProblem {
                pointer: error.instance_path().as_str().to_owned(),
                problem: error.to_string(),
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(ContextProblems(problems)) }
    }
}
