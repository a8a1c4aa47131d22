//! Keeps the values of secrets out of whatever a step leaves behind: its log, its failure, its output.
//!
//! It guards against mistakes. A guest that was told a value and wants to give it away can always write it another way.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use stepwright_workflow::{Failure, FailureClass, Outcome, Payload};

use crate::bindings::StepError;
use crate::grants::Grants;

/// Shorter values are not looked for, in bytes: they stand everywhere by accident.
const VALUE_BYTES_MIN: usize = 4;

/// The secrets of one attempt. Without any, there is none of this and nothing is searched.
#[derive(Debug, Clone)]
pub(crate) struct Redactor(Arc<Grants>);

impl Redactor {
    /// What hides these grants' secrets, if they have any.
    pub(crate) fn of(grants: &Arc<Grants>) -> Option<Self> {
        let worth = grants.secrets.iter().any(|secret| secret.value.reveal().len() >= VALUE_BYTES_MIN);
        worth.then(|| Self(Arc::clone(grants)))
    }

    /// Names and values, the longest first: one value may be part of another.
    fn secrets(&self) -> Vec<(&str, &str)> {
        let all = self.0.secrets.iter().map(|secret| (secret.name.as_str(), secret.value.reveal()));
        let mut secrets: Vec<_> = all.filter(|(_, value)| value.len() >= VALUE_BYTES_MIN).collect();
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        secrets
    }

    /// The text without the values.
    pub(crate) fn text(&self, mut text: String) -> String {
        for (name, value) in self.secrets() {
            if text.contains(value) {
                text = text.replace(value, &mark(name));
            }
        }
        text
    }

    /// The same for what was printed, of which the beginning or the end may be missing: a part of a value at such an edge goes, too.
    pub(crate) fn printed(&self, bytes: Vec<u8>, (begins, ends): (bool, bool)) -> Vec<u8> {
        let mut text = match String::from_utf8_lossy(&bytes) {
            Cow::Borrowed(text) => self.text(text.to_owned()),
            Cow::Owned(text) => self.text(text),
        };
        for (_, value) in self.secrets() {
            let cuts = |at: &usize| value.is_char_boundary(*at);
            if !ends
                && let Some(at) = (1..value.len()).rev().filter(cuts).find(|at| text.ends_with(&value[..*at]))
            {
                text.truncate(text.len() - at);
            }
            if !begins
                && let Some(at) = (1..value.len()).filter(cuts).find(|at| text.starts_with(&value[*at..]))
            {
                text.drain(..value.len() - at);
            }
        }
        text.into_bytes()
    }

    /// What the guest says of its failure.
    pub(crate) fn error(&self, error: StepError) -> StepError {
        match error {
            StepError::Retryable(mut it) => {
                it.message = self.text(it.message);
                it.code = it.code.map(|code| self.text(code));
                it.details = it.details.map(|details| self.json(details));
                StepError::Retryable(it)
            }
            StepError::Permanent(mut it) => {
                it.message = self.text(it.message);
                it.code = it.code.map(|code| self.text(code));
                it.details = it.details.map(|details| self.json(details));
                StepError::Permanent(it)
            }
        }
    }

    /// The outcome as it may be kept. An output with a secret in it is none: it would go to the database and to other steps.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Completed { output } => match self.found(output.as_str()) {
                Some(name) => Outcome::Failed { error: in_output(name) },
                None => Outcome::Completed { output },
            },
            Outcome::Failed { error } => {
                let details = error.details.map(|details| match self.found(details.as_str()) {
                    Some(_) => Payload::parse(self.json(details.as_str().to_owned()))
                        .unwrap_or_else(|_| Payload::null()),
                    None => details,
                });
                let code = error.code.map(|code| self.text(code));
                Outcome::Failed {
                    error: Failure { message: self.text(error.message), code, details, ..error },
                }
            }
        }
    }

    /// The name of a secret whose value stands in a JSON text, however it is escaped there.
    fn found(&self, json: &str) -> Option<&str> {
        let secrets = self.secrets();
        let plain = secrets.iter().find(|(_, value)| json.contains(value));
        if let Some((name, _)) = plain {
            return Some(name);
        }
        // Only escapes can hide a value from the search above.
        if !json.contains('\\') {
            return None;
        }
        let tree: Value = serde_json::from_str(json).ok()?;
        secrets.into_iter().find(|(_, value)| holds(&tree, value)).map(|(name, _)| name)
    }

    /// A JSON text without the values; what is no JSON is treated as text.
    fn json(&self, text: String) -> String {
        match serde_json::from_str::<Value>(&text) {
            Ok(mut tree) => {
                self.clean(&mut tree);
                tree.to_string()
            }
            Err(_) => self.text(text),
        }
    }

    fn clean(&self, tree: &mut Value) {
        match tree {
            Value::String(text) => *text = self.text(std::mem::take(text)),
            Value::Number(number) => {
                let (before, after) = (number.to_string(), self.text(number.to_string()));
                if before != after {
                    *tree = Value::String(after);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Object(fields) => {
                let cleaned = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                    self.clean(&mut value);
                    (self.text(key), value)
                });
                *fields = cleaned.collect();
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn mark(name: &str) -> String {
    format!("[secret {name}]")
}

fn in_output(name: &str) -> Failure {
    let message =
        format!("the output contains the value of the secret '{name}'; outputs are stored and handed on");
    Failure {
        retryable: false,
        ..Failure::new(FailureClass::InvalidOutput, message).with_code("secret_in_output")
    }
}

fn holds(tree: &Value, value: &str) -> bool {
    match tree {
        Value::String(text) => text.contains(value),
        Value::Number(number) => number.to_string().contains(value),
        Value::Array(items) => items.iter().any(|item| holds(item, value)),
        Value::Object(fields) => fields.iter().any(|(key, item)| key.contains(value) || holds(item, value)),
        Value::Null | Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::{SecretGrant, SecretValue};

    fn redactor(secrets: &[(&str, &str)]) -> Option<Redactor> {
        let secret = |(name, value): &(&str, &str)| SecretGrant {
            name: (*name).to_owned(),
            value: SecretValue::new(*value),
            revealed: false,
            hosts: Vec::new(),
        };
        Redactor::of(&Arc::new(Grants { secrets: secrets.iter().map(secret).collect(), ..Grants::default() }))
    }

    #[test]
    fn values_are_replaced_longest_first_and_short_ones_are_not_looked_for() {
        let hide = redactor(&[("short", "hunt"), ("long", "hunter2")]).unwrap();
        assert_eq!(hide.text("a hunter2 hunts".to_owned()), "a [secret long] [secret short]s");
        assert!(redactor(&[("pin", "123")]).is_none());
        assert!(redactor(&[]).is_none());
    }

    #[test]
    fn edges_of_what_was_cut_hold_no_part_of_a_value() {
        let hide = redactor(&[("key", "hunter2")]).unwrap();
        let printed =
            |text: &str, whole| String::from_utf8(hide.printed(text.as_bytes().to_vec(), whole)).unwrap();
        assert_eq!(printed("see hunt", (true, false)), "see ");
        assert_eq!(printed("nter2 was it", (false, true)), " was it");
        assert_eq!(printed("see hunt", (true, true)), "see hunt");
        assert_eq!(printed("hunter2!", (true, true)), "[secret key]!");
    }

    #[test]
    fn outputs_and_details_are_searched_through_their_escapes() {
        let hide = redactor(&[("key", "hun\"ter2"), ("pin", "87654321")]).unwrap();
        let completed =
            |json: &str| hide.outcome(Outcome::Completed { output: Payload::parse(json).unwrap() });
        for json in ["[\"hun\\\"ter2\"]", "{\"\\u0068un\\\"ter2\":1}", "[1876543210]"] {
            match completed(json) {
                Outcome::Failed { error } => {
                    assert_eq!(error.code.as_deref(), Some("secret_in_output"));
                    assert!(!error.retryable && !error.message.contains("ter2"));
                }
                Outcome::Completed { .. } => panic!("{json} went through"),
            }
        }
        assert!(matches!(completed("{\"a\":\"\\u0068i\"}"), Outcome::Completed { .. }));
        let details = Payload::parse("{\"hun\\\"ter2\":[87654321,\"x hun\\\"ter2\"]}").unwrap();
        let error =
            Failure { details: Some(details), ..Failure::new(FailureClass::Permanent, "no hun\"ter2") };
        let Outcome::Failed { error } = hide.outcome(Outcome::Failed { error }) else {
            panic!("it completed")
        };
        assert_eq!(error.message, "no [secret key]");
        assert_eq!(
            error.details.unwrap().as_str(),
            "{\"[secret key]\":[\"[secret pin]\",\"x [secret key]\"]}"
        );
    }
}
