//! A file of tasks: one JSON object a line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use stepwright_orchestrator::catalog::TaskRequest;
use stepwright_orchestrator::request::{self, InputProblem};
use stepwright_workflow::{Payload, Timestamp};

use crate::error::CliError;

/// Tasks of one batch: they are checked in memory before the first is created.
const TASKS_MAX: usize = 1_000_000;
/// Bytes of a line beside its context.
const LINE_BYTES_MORE_MAX: u64 = 64 << 10;
/// Problems that are listed; after them a person begins to mend, and the file may be megabytes of the same mistake.
pub(super) const PROBLEMS_MAX: usize = 1_000;

/// One line, as documented.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    context: Payload,
    #[serde(default)]
    idempotency_key: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    priority: Option<i32>,
    #[serde(default)]
    at: Option<String>,
    #[serde(default, rename = "in")]
    delay: Option<String>,
}

/// What holds for each line that does not say otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    pub(super) tags: Vec<(String, String)>,
    pub(super) priority: i32,
    pub(super) start_at: Option<Timestamp>,
    /// What a delay counts from.
    pub(super) now: Timestamp,
    pub(super) payload_bytes_max: u64,
}

/// A line's number, counted from 1, and its request or what is wrong with it.
pub(super) type Numbered = (usize, Result<TaskRequest, InputProblem>);

/// Reads every line that is not blank. `file` is its name in messages.
pub(super) fn read(file: &str, input: impl Read, defaults: &Defaults) -> Result<Vec<Numbered>, CliError> {
    let line_bytes_max = defaults.payload_bytes_max.saturating_add(LINE_BYTES_MORE_MAX);
    let mut input = BufReader::new(input);
    let (mut lines, mut text) = (Vec::new(), Vec::new());
    for number in 1.. {
        text.clear();
        let mut limited = input.by_ref().take(line_bytes_max + 1);
        let read = limited.read_until(b'\n', &mut text);
        read.map_err(|error| CliError::new(format!("failed to read {file}: {error}")))?;
        if text.is_empty() {
            break;
        }
        if text.len() as u64 > line_bytes_max {
            return Err(CliError::new(format!(
                "{file}: line {number} is longer than {line_bytes_max} bytes"
            )));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        if lines.len() == TASKS_MAX {
            return Err(CliError::new(format!("{file} has more than {TASKS_MAX} tasks; split it")));
        }
        let problem = |problem| InputProblem { line: Some(number), pointer: String::new(), problem };
        lines.push((number, line(&text, defaults).map_err(problem)));
    }
    Ok(lines)
}

fn line(text: &[u8], defaults: &Defaults) -> Result<TaskRequest, String> {
    const WANTED: &str = "write {\"context\": …}, and if wanted \"idempotency_key\", \"tags\", \"priority\", and \"at\" or \"in\"";
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    let line: Line = serde_json::from_str(text).map_err(|error| format!("{error}; {WANTED}"))?;
    // A payload within another text was not checked for its depth.
    let context = request::context(line.context.as_str())?;
    let start_at = start_at(&line, defaults)?;
    let mut tags: BTreeMap<String, String> = defaults.tags.iter().cloned().collect();
    tags.extend(line.tags);
    Ok(TaskRequest {
        context,
        tags: tags.into_iter().collect(),
        priority: line.priority.unwrap_or(defaults.priority),
        idempotency_key: line.idempotency_key,
        start_at,
    })
}

fn start_at(line: &Line, defaults: &Defaults) -> Result<Option<Timestamp>, String> {
    match (&line.at, &line.delay) {
        (Some(_), Some(_)) => Err("\"at\" and \"in\" exclude each other".to_owned()),
        (Some(at), None) => request::moment(at).map(Some),
        (None, Some(delay)) => Ok(Some(defaults.now.after(request::delay(delay)?))),
        (None, None) => Ok(defaults.start_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            tags: vec![("run".to_owned(), "7".to_owned())],
            priority: 2,
            start_at: None,
            now: Timestamp(1_000),
            payload_bytes_max: 1_000,
        }
    }

    #[test]
    fn lines_are_read_with_their_numbers_and_the_defaults() {
        let text = "{\"context\": {\"a\": 1}}\n\n{\"context\":2,\"idempotency_key\":\"k\",\"tags\":{\"run\":\"8\"},\"priority\":-1,\"in\":\"1m\"}";
        let lines = read("orders.jsonl", text.as_bytes(), &defaults()).unwrap();
        let first = TaskRequest {
            context: Payload::parse("{\"a\": 1}").unwrap(),
            tags: vec![("run".to_owned(), "7".to_owned())],
            priority: 2,
            idempotency_key: None,
            start_at: None,
        };
        let third = TaskRequest {
            context: Payload::parse("2").unwrap(),
            tags: vec![("run".to_owned(), "8".to_owned())],
            priority: -1,
            idempotency_key: Some("k".to_owned()),
            start_at: Some(Timestamp(61_000)),
        };
        assert_eq!(lines, [(1, Ok(first)), (3, Ok(third))]);
    }

    #[test]
    fn each_bad_line_is_told_with_its_number() {
        let deep = format!("{{\"context\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let late =
            "{\"context\":1,\"at\":\"soon\"}\n{\"context\":1,\"at\":\"2026-12-24T08:00:00Z\",\"in\":\"1m\"}";
        let text = format!("{{\"context\":1}}\nnot json\n{{\"contxt\":1}}\n{deep}\n{late}\n");
        let lines = read("orders.jsonl", text.as_bytes(), &defaults()).unwrap();
        let problems: Vec<String> =
            lines.iter().filter_map(|(_, line)| line.as_ref().err()).map(InputProblem::to_string).collect();
        let expected = [
            "line 2: expected",
            "line 3: unknown field `contxt`",
            "line 4: ",
            "line 5: 'soon' is not a moment",
            "line 6: \"at\" and \"in\" exclude",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expect) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expect), "{problem}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let endless = std::io::repeat(b'x');
        let error = format!("{:?}", read("orders.jsonl", endless, &defaults()).unwrap_err());
        assert!(error.contains("line 1 is longer than 66536 bytes"), "{error}");
    }
}
