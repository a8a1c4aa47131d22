//! What a task is started with: contexts, labels, moments, and what may be wrong with them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use stepwright_store::NewTask;
use stepwright_workflow::template::values::duration_ms;
use stepwright_workflow::{Payload, Timestamp};

use crate::catalog::{Prepared, TaskRequest};

/// Labels of one task.
pub const TAGS_MAX: usize = 32;
/// Bytes of a label's name.
const TAG_NAME_BYTES_MAX: usize = 64;
/// Bytes of a label's value, and of an idempotency key.
const TEXT_BYTES_MAX: usize = 256;

/// One thing wrong with what a task was to be started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// The line of the batch, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The JSON pointer of the value within the context; empty for the whole of it.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.problem)
    }
}

/// Checks requests against a template, with the lines that they stand on.
pub struct Desk<'a> {
    /// The template.
    pub prepared: &'a Prepared,
    /// The largest context.
    pub payload_bytes_max: u64,
}

impl Desk<'_> {
    /// The task that a request makes, or everything that is wrong with it.
    pub fn task(&self, line: Option<usize>, request: TaskRequest) -> Result<NewTask, Vec<InputProblem>> {
        let whole = |problem| vec![InputProblem { line, pointer: String::new(), problem }];
        let (bytes, most) = (request.context.bytes() as u64, self.payload_bytes_max);
        if bytes > most {
            return Err(whole(format!(
                "the context has {bytes} bytes; wire.payload_bytes_max allows {most}"
            )));
        }
        if request.tags.len() > TAGS_MAX {
            return Err(whole(format!("{} tags; at most {TAGS_MAX} are allowed", request.tags.len())));
        }
        for (name, value) in &request.tags {
            tag_is_good(name, value).map_err(whole)?;
        }
        if let Some(key) = &request.idempotency_key {
            key_is_good(key).map_err(whole)?;
        }
        self.prepared.task(request).map_err(|found| {
            let problem = |found: &stepwright_workflow::template::ContextProblem| InputProblem {
                line,
                pointer: found.pointer.clone(),
                problem: found.problem.clone(),
            };
            found.problems().iter().map(problem).collect()
        })
    }
}

/// A context as it was handed in.
pub fn context(text: &str) -> Result<Payload, String> {
    Payload::parse(text.trim()).map_err(|error| format!("the context is not JSON: {error}"))
}

/// Whether a label may have this name and value.
pub fn tag_is_good(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > TAG_NAME_BYTES_MAX {
        return Err(format!("the tag name '{name}' must have 1 to {TAG_NAME_BYTES_MAX} bytes"));
    }
    if value.len() > TEXT_BYTES_MAX {
        return Err(format!("the value of tag '{name}' has {} bytes; at most {TEXT_BYTES_MAX}", value.len()));
    }
    Ok(())
}

/// A moment, as RFC 3339.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|moment| Timestamp(moment.as_millisecond())).map_err(|_| {
        format!("'{text}' is not a moment; write it as RFC 3339, such as 2026-12-24T08:00:00+01:00")
    })
}

/// How long to wait before a task begins.
pub fn delay(text: &str) -> Result<Duration, String> {
    duration_ms(text).map(Duration::from_millis)
}

/// Whether an idempotency key can be kept.
pub fn key_is_good(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > TEXT_BYTES_MAX {
        return Err(format!("an idempotency key must have 1 to {TEXT_BYTES_MAX} bytes, not {}", key.len()));
    }
    if key.contains('\0') {
        return Err("an idempotency key must not hold the character U+0000".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_an_offset() {
        assert_eq!(moment("1970-01-01T01:00:01.5+01:00"), Ok(Timestamp(1_500)));
        for bad in ["", "soon", "2026-12-24", "2026-12-24T08:00:00", "2026-13-24T08:00:00Z"] {
            assert!(moment(bad).unwrap_err().contains("RFC 3339"), "{bad}");
        }
    }

    #[test]
    fn keys_and_contexts_are_bounded() {
        assert!(key_is_good("order-17").is_ok());
        for bad in ["", &"k".repeat(257), "a\0b"] {
            assert!(key_is_good(bad).is_err(), "{bad}");
        }
        assert_eq!(
            context(" {\"a\": 1}\n").map(|context| context.as_str().to_owned()),
            Ok("{\"a\": 1}".to_owned())
        );
        assert!(context("{").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_problem_names_its_line_and_its_value() {
        let problem = |line, pointer: &str| InputProblem {
            line,
            pointer: pointer.to_owned(),
            problem: "wrong".to_owned(),
        };
        assert_eq!(problem(Some(3), "/items/0").to_string(), "line 3: /items/0: wrong");
        assert_eq!(problem(None, "").to_string(), "wrong");
        assert_eq!(
            serde_json::to_string(&problem(None, "/a")).unwrap(),
            r#"{"pointer":"/a","problem":"wrong"}"#
        );
    }
}
