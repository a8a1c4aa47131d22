//! A case as it stands in its file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use stepwright_executor::ParentOutput;
use stepwright_workflow::{FailureClass, Payload};

use crate::commands::plugin::attempt::{RETRY_LIMIT, TIMEOUT, Told};
use crate::input;

/// The largest case, in bytes: payloads of 1 MiB, and what is expected of them.
const CASE_BYTES_MAX: u64 = 8 << 20;

/// What a handler is given, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    handler: String,
    #[serde(default)]
    input: Payload,
    #[serde(default)]
    config: Payload,
    #[serde(default, deserialize_with = "in_order")]
    parents: Vec<(String, Payload)>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default = "one")]
    attempt: u32,
    #[serde(default = "retry_limit")]
    retry_limit: u32,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    /// What the hosts that the handler calls answer.
    #[serde(default)]
    http: Vec<IgnoredAny>,
    /// What the handler's secrets hold.
    #[serde(default)]
    secrets: BTreeMap<String, IgnoredAny>,
    pub(super) expect: Expect,
}

/// What must come of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Expect {
    /// Exactly this output.
    Output(Value),
    /// A failure that has all of this.
    Error(ExpectedError),
}

/// A failure, as far as a case says something of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedError {
    pub(super) class: Option<FailureClass>,
    pub(super) code: Option<String>,
    pub(super) message_contains: Option<String>,
    pub(super) details: Option<Value>,
}

fn one() -> u32 {
    1
}

fn retry_limit() -> u32 {
    RETRY_LIMIT
}

fn timeout_ms() -> u64 {
    u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX)
}

impl Case {
    /// Reads a case, or says what is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = input::text(path, CASE_BYTES_MAX).map_err(|error| error.message().to_owned())?;
        let case: Self = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        case.check()?;
        Ok(case)
    }

    fn check(&self) -> Result<(), String> {
        if self.attempt == 0 {
            return Err("attempt: 0 is no attempt; they are counted from 1".to_owned());
        }
        if self.timeout_ms == 0 {
            return Err("timeout_ms: 0 lets nothing run; leave it out for 30000".to_owned());
        }
        let fakes = [("http", self.http.is_empty()), ("secrets", self.secrets.is_empty())];
        if let Some((field, _)) = fakes.iter().find(|(_, empty)| !empty) {
            return Err(format!(
                "{field}: this version grants nothing to handlers, so there is nothing to answer in its place; remove it"
            ));
        }
        if let Expect::Error(ExpectedError {
            class: None,
            code: None,
            message_contains: None,
            details: None,
        }) = &self.expect
        {
            return Err("expect.error: says nothing; write 'class', 'code', 'message_contains' or 'details'"
                .to_owned());
        }
        Ok(())
    }

    /// What the handler is told.
    pub(super) fn told(&self) -> Told {
        let parent =
            |(step, output): &(String, Payload)| ParentOutput { step: step.clone(), output: output.clone() };
        Told {
            handler: self.handler.clone(),
            input: self.input.clone(),
            config: self.config.clone(),
            parents: self.parents.iter().map(parent).collect(),
            tags: self.tags.clone().into_iter().collect(),
            attempt: self.attempt,
            retry_limit: self.retry_limit,
            timeout: Duration::from_millis(self.timeout_ms),
        }
    }
}

/// An object's entries as they stand in the file: parents have an order.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Payload)>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, Payload)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with an output for each parent")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Case, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.json");
        std::fs::write(&path, text).unwrap();
        Case::read(&path)
    }

    #[test]
    fn a_case_says_all_that_a_handler_is_told_and_parents_keep_their_order() {
        let case = read(
            r#"{"handler": "pay", "input": {"n": 1.50}, "config": {"c": 2}, "parents": {"z": [1], "a": null},
                "tags": {"tenant": "north"}, "attempt": 2, "timeout_ms": 500, "expect": {"error": {"class": "retryable"}}}"#,
        );
        let told = case.unwrap().told();
        let parents: Vec<_> =
            told.parents.iter().map(|parent| (&*parent.step, parent.output.as_str())).collect();
        assert_eq!(parents, [("z", "[1]"), ("a", "null")]);
        assert_eq!((told.input.as_str(), told.attempt, told.retry_limit), (r#"{"n": 1.50}"#, 2, 3));
        assert_eq!(told.timeout, Duration::from_millis(500));
        let least = read(r#"{"handler": "pay", "expect": {"output": null}}"#).unwrap().told();
        assert_eq!((least.input.as_str(), least.config.as_str(), least.attempt), ("null", "null", 1));
    }

    #[test]
    fn what_no_case_can_mean_is_refused() {
        for (text, expect) in [
            (r#"{"handler": "pay", "inptu": 1, "expect": {"output": 1}}"#, "unknown field `inptu`"),
            (r#"{"handler": "pay"}"#, "missing field `expect`"),
            (r#"{"handler": "pay", "expect": {"result": 1}}"#, "unknown variant `result`"),
            (r#"{"handler": "pay", "expect": {"error": {"class": "bad"}}}"#, "unknown variant `bad`"),
            (r#"{"handler": "pay", "expect": {"error": {}}}"#, "expect.error: says nothing"),
            (r#"{"handler": "pay", "http": [{}], "expect": {"output": 1}}"#, "http: this version"),
            (r#"{"handler": "pay", "attempt": 0, "expect": {"output": 1}}"#, "attempt: 0"),
            (r#"{"handler": "pay", "parents": [1], "expect": {"output": 1}}"#, "an object with an output"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }
}
