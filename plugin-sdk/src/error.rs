//! Why a step has no output: the two classes of failure a handler can report, and how other errors become one.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// What a handler returns.
pub type StepResult<T> = Result<T, StepError>;

/// Whether another attempt may mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Another attempt may succeed.
    Retryable,
    /// No attempt will.
    Permanent,
}

/// A failure of a step, built by [`retryable`] or [`permanent`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepError {
    /// Whether another attempt may mend it.
    pub class: FailureClass,
    /// One sentence for a person.
    pub message: String,
    /// A code for programs.
    pub code: Option<String>,
    /// More for programs.
    pub details: Option<Value>,
    /// When to try again; the step's own back-off if absent.
    pub retry_after: Option<Duration>,
}

/// A failure that another attempt may mend: a busy gateway, a time-out, a lock held by somebody else.
pub fn retryable(message: impl Into<String>) -> StepError {
    StepError::new(FailureClass::Retryable, message.into())
}

/// A failure that no attempt will mend: a declined card, an empty order.
pub fn permanent(message: impl Into<String>) -> StepError {
    StepError::new(FailureClass::Permanent, message.into())
}

impl StepError {
    fn new(class: FailureClass, message: String) -> Self {
        Self { class, message, code: None, details: None, retry_after: None }
    }

    /// Adds a code for programs, such as `card_declined`.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds more for programs. What cannot be JSON is replaced by the reason why.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        let details = serde_json::to_value(details);
        self.details = Some(details.unwrap_or_else(|error| Value::String(format!("no details: {error}"))));
        self
    }

    /// Says when to try again. It wins over the step's back-off; a permanent failure has no use for it.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Whether another attempt may mend it.
    pub fn is_retryable(&self) -> bool {
        self.class == FailureClass::Retryable
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// `?` on any error gives a retryable failure; its message holds the error's sources too.
///
/// This is why `StepError` itself is no [`Error`].
impl<E: Error> From<E> for StepError {
    fn from(error: E) -> Self {
        retryable(with_sources(&error))
    }
}

fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message.push_str(": ");
        message.push_str(&error.to_string());
        source = error.source();
    }
    message
}

/// Turns an error or a missing value into a failure of the class that fits, with a message that says what was tried.
///
/// ```
/// use stepwright_sdk::prelude::*;
///
/// fn quantity(text: &str) -> StepResult<u32> {
///     text.parse().or_permanent("the quantity is no number")
/// }
///
/// assert_eq!(quantity("x").unwrap_err().message, "the quantity is no number: invalid digit found in string");
/// ```
pub trait OrFail<T> {
    /// Fails so that another attempt is made.
    fn or_retryable(self, message: impl Into<String>) -> StepResult<T>;
    /// Fails for good.
    fn or_permanent(self, message: impl Into<String>) -> StepResult<T>;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_retryable(self, message: impl Into<String>) -> StepResult<T> {
        self.map_err(|error| retryable(explained(&message.into(), &error)))
    }

    fn or_permanent(self, message: impl Into<String>) -> StepResult<T> {
        self.map_err(|error| permanent(explained(&message.into(), &error)))
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_retryable(self, message: impl Into<String>) -> StepResult<T> {
        self.ok_or_else(|| retryable(message))
    }

    fn or_permanent(self, message: impl Into<String>) -> StepResult<T> {
        self.ok_or_else(|| permanent(message))
    }
}

fn explained(message: &str, error: &dyn Error) -> String {
    format!("{message}: {}", with_sources(error))
}

#[cfg(test)]
mod tests {
    use super::{OrFail, StepResult, permanent, retryable};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_failure_says_all_it_was_given() {
        let error = retryable("busy").code("gateway_busy").details(json!({ "queue": 3 }));
        let error = error.retry_after(Duration::from_millis(200));
        assert!(error.is_retryable());
        assert_eq!(error.to_string(), "busy");
        assert_eq!(error.code.as_deref(), Some("gateway_busy"));
        assert_eq!(error.details, Some(json!({ "queue": 3 })));
        assert_eq!(error.retry_after, Some(Duration::from_millis(200)));
        assert!(!permanent("no").is_retryable());
    }

    #[test]
    fn the_question_mark_is_retryable_and_or_fail_chooses() {
        fn parse(text: &str) -> StepResult<u8> {
            Ok(text.parse::<u8>()?)
        }
        assert_eq!(parse("7"), Ok(7));
        assert!(parse("x").unwrap_err().is_retryable());
        let error = "x".parse::<u8>().or_permanent("bad quantity").unwrap_err();
        assert_eq!(error, permanent("bad quantity: invalid digit found in string"));
        assert_eq!(None::<u8>.or_retryable("not there yet").unwrap_err(), retryable("not there yet"));
    }
}
