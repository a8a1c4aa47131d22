//! Whether what came of a case is what it expects.

use serde_json::Value;
use stepwright_executor::Outcome;
use stepwright_workflow::{Failure, Payload};

use super::case::{Expect, ExpectedError};
use super::difference::differences;
use crate::commands::plugin::attempt::ended;

/// One line for each thing that is not as expected.
pub(super) fn problems(expect: &Expect, outcome: &Outcome) -> Vec<String> {
    match (expect, outcome) {
        (Expect::Output(expected), Outcome::Completed { output }) => match value(output) {
            Ok(found) => within("output", expected, &found),
            Err(problem) => vec![problem],
        },
        (Expect::Error(expected), Outcome::Failed { error }) => wrong(expected, error),
        (Expect::Output(_), failed @ Outcome::Failed { .. }) => {
            vec![format!("expected an output, and it failed: {}", ended(failed))]
        }
        (Expect::Error(_), completed @ Outcome::Completed { .. }) => {
            vec![format!("expected an error, and it returned {}", ended(completed))]
        }
    }
}

fn wrong(expected: &ExpectedError, found: &Failure) -> Vec<String> {
    let ExpectedError { class, code, message_contains, details } = expected;
    let mut problems = Vec::new();
    if let Some(class) = class.filter(|class| *class != found.class) {
        problems.push(format!("error class: expected {class}, found {}", found.class));
    }
    if code.is_some() && *code != found.code {
        let shown = |code: &Option<String>| code.clone().unwrap_or_else(|| "none".to_owned());
        problems.push(format!("error code: expected {}, found {}", shown(code), shown(&found.code)));
    }
    if let Some(text) = message_contains.as_ref().filter(|text| !found.message.contains(*text)) {
        problems.push(format!("error message: expected it to contain '{text}', found '{}'", found.message));
    }
    if let Some(details) = details {
        match found.details.as_ref().map_or(Ok(Value::Null), value) {
            Ok(found) => problems.extend(within("error details", details, &found)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        problems.push(format!("it failed with {found}"));
    }
    problems
}

fn within(subject: &str, expected: &Value, found: &Value) -> Vec<String> {
    differences(expected, found).into_iter().map(|line| format!("{subject} {line}")).collect()
}

fn value(payload: &Payload) -> Result<Value, String> {
    payload.read().map_err(|error| format!("what it returned cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_workflow::FailureClass;

    fn failed() -> Outcome {
        let error = Failure::new(FailureClass::Permanent, "nobody is there").with_code("no_name");
        Outcome::Failed { error }
    }

    fn expect(text: &str) -> Expect {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_failure_must_have_all_that_is_said_of_it() {
        let good = r#"{"error": {"class": "permanent", "code": "no_name", "message_contains": "nobody"}}"#;
        assert!(problems(&expect(good), &failed()).is_empty());
        let bad = r#"{"error": {"class": "retryable", "code": "busy", "message_contains": "later", "details": {"a": 1}}}"#;
        assert_eq!(
            problems(&expect(bad), &failed()),
            [
                "error class: expected retryable, found permanent",
                "error code: expected busy, found no_name",
                "error message: expected it to contain 'later', found 'nobody is there'",
                "error details the whole: expected {\"a\":1}, found null",
                "it failed with permanent (no_name): nobody is there",
            ]
        );
    }

    #[test]
    fn the_wrong_kind_of_end_is_told() {
        let completed = Outcome::Completed { output: Payload::parse("{\"n\":1}").unwrap() };
        assert_eq!(
            problems(&expect(r#"{"output": {"n": 2}}"#), &completed),
            ["output /n: expected 2, found 1"]
        );
        let other = problems(&expect(r#"{"error": {"code": "x"}}"#), &completed);
        assert_eq!(other, ["expected an error, and it returned {\"n\":1}"]);
        let other = problems(&expect(r#"{"output": 1}"#), &failed());
        assert_eq!(other, ["expected an output, and it failed: permanent (no_name): nobody is there"]);
    }
}
