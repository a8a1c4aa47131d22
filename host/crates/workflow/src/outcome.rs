//! How an attempt ended: with an output, or with a failure of a known class.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, Payload};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The handler returned this output.
    Completed {
        /// The handler's JSON output.
        output: Payload,
    },
    /// The handler or the host says why there is no output.
    Failed {
        /// What went wrong.
        error: Failure,
    },
}

impl Outcome {
    /// A fingerprint of what was reported: two reports of one attempt that differ here are a discrepancy.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Completed { output } => Digest::of(output.as_str().as_bytes()),
            Self::Failed { error } => Digest::of(
                format!("{}\0{}\0{}", error.class, error.code.as_deref().unwrap_or(""), error.message)
                    .as_bytes(),
            ),
        }
    }
}

/// Why an attempt failed, and whether another may succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who failed, and in which way.
    pub class: FailureClass,
    /// The handler's own code, such as `card_declined`; the limit's name where a limit was hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence for a person.
    pub message: String,
    /// What the handler adds for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
    /// When the handler wants to be tried again, in milliseconds from the end of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

impl Failure {
    /// A failure with the retryability that is usual for its class, and nothing else.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            code: None,
            message: message.into(),
            details: None,
            retry_after_ms: None,
            retryable: class.usually_retryable(),
        }
    }

    /// The same failure with a code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code}): {}", self.class, self.message),
            None => write!(f, "{}: {}", self.class, self.message),
        }
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $retryable:literal;)*) => {
        /// Who failed, and in which way. The spelling is the same on the wire, in the database, in the CLI and in Ruby.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FailureClass {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl FailureClass {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The class's one spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether a failure of this class is tried again unless the template says otherwise.
            pub fn usually_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }
        }
    };
}

classes! {
    /// The handler says that another attempt may succeed.
    Retryable = "retryable", true;
    /// The handler says that no attempt will succeed.
    Permanent = "permanent", false;
    /// The step ran longer than its timeout, or used more CPU than its limit.
    Timeout = "timeout", true;
    /// The guest trapped: a panic, an abort, an exit, an access out of bounds, an exhausted stack.
    Trap = "trap", true;
    /// The guest wanted more memory than its limit.
    Memory = "memory", true;
    /// The output, the error or the data handed to the host is larger than its limit.
    OutputTooLarge = "output_too_large", true;
    /// The output is no JSON, or nested too deep.
    InvalidOutput = "invalid_output", false;
    /// The guest asked for something that no grant allows.
    Denied = "denied", false;
    /// The attempt was told to stop.
    Cancelled = "cancelled", false;
    /// The worker has no such plugin or handler, or cannot load it.
    PluginUnavailable = "plugin_unavailable", true;
    /// The worker vanished while it held the attempt.
    Lost = "lost", true;
    /// The attempt's worker vanished as often as the loss limit allows.
    Poisoned = "poisoned", false;
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// A text that names no failure class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a failure class")]
pub struct UnknownClass(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_one_spelling() {
        for class in FailureClass::ALL {
            assert_eq!(class.as_str().parse::<FailureClass>().unwrap(), *class);
            assert_eq!(serde_json::to_string(class).unwrap(), format!("\"{class}\""));
        }
        assert!("Retryable".parse::<FailureClass>().is_err());
    }
}
