//! Timeouts, retries and limits: read, merged, and filled up with the defaults.

use super::problem::Problems;
use super::read::Fields;
use super::tree::Node;
use super::values::{duration_ms, size_bytes};
use crate::retry::{Backoff, RetryPolicy};
use crate::{PlanStep, StepLimits};

/// How long an attempt may take if nobody says anything, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;

/// What a step, a template's defaults or an environment say; `None` is silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    timeout_ms: Option<u64>,
    limit: Option<u32>,
    backoff: Option<Backoff>,
    base_ms: Option<u64>,
    cap_ms: Option<u64>,
    retry_after_cap_ms: Option<u64>,
    memory_bytes_max: Option<u64>,
    cpu_ms_max: Option<u64>,
    output_bytes_max: Option<u64>,
}

pub(crate) const KEYS: &[&str] = &["timeout", "retry", "limits"];

impl Settings {
    /// Reads `timeout`, `retry` and `limits` of a mapping.
    pub(crate) fn read(fields: &Fields<'_>, problems: &mut Problems) -> Self {
        let mut settings =
            Self { timeout_ms: positive(fields, "timeout", problems, duration_ms), ..Self::default() };
        if let Some(node) = fields.get("retry") {
            settings.read_retry(node, &fields.path("retry"), problems);
        }
        if let Some(node) = fields.get("limits") {
            settings.read_limits(node, &fields.path("limits"), problems);
        }
        settings
    }

    fn read_retry(&mut self, node: &Node, field: &str, problems: &mut Problems) {
        let known = &["limit", "backoff", "base", "cap", "retry_after_cap"];
        let Some(fields) = Fields::of(node, field, known, problems) else { return };
        self.limit = fields.number("limit", (1, 1_000), problems).and_then(|limit| u32::try_from(limit).ok());
        self.backoff = fields.text("backoff", problems, backoff).map(|(backoff, _)| backoff);
        self.base_ms = fields.text("base", problems, duration_ms).map(|(ms, _)| ms);
        self.cap_ms = fields.text("cap", problems, duration_ms).map(|(ms, _)| ms);
        self.retry_after_cap_ms = fields.text("retry_after_cap", problems, duration_ms).map(|(ms, _)| ms);
    }

    fn read_limits(&mut self, node: &Node, field: &str, problems: &mut Problems) {
        let Some(fields) = Fields::of(node, field, &["memory", "cpu", "output"], problems) else { return };
        self.memory_bytes_max = positive(&fields, "memory", problems, size_bytes);
        self.cpu_ms_max = positive(&fields, "cpu", problems, duration_ms);
        self.output_bytes_max = positive(&fields, "output", problems, size_bytes);
    }

    /// These settings where they say something, and the others where they do not.
    #[must_use]
    pub(crate) fn over(self, under: Self) -> Self {
        Self {
            timeout_ms: self.timeout_ms.or(under.timeout_ms),
            limit: self.limit.or(under.limit),
            backoff: self.backoff.or(under.backoff),
            base_ms: self.base_ms.or(under.base_ms),
            cap_ms: self.cap_ms.or(under.cap_ms),
            retry_after_cap_ms: self.retry_after_cap_ms.or(under.retry_after_cap_ms),
            memory_bytes_max: self.memory_bytes_max.or(under.memory_bytes_max),
            cpu_ms_max: self.cpu_ms_max.or(under.cpu_ms_max),
            output_bytes_max: self.output_bytes_max.or(under.output_bytes_max),
        }
    }

    /// Writes them into a step, with the defaults for what nobody said.
    pub(crate) fn apply(self, step: &mut PlanStep) {
        let usual = RetryPolicy::default();
        step.timeout_ms = self.timeout_ms.unwrap_or(TIMEOUT_MS);
        step.retry = RetryPolicy {
            limit: self.limit.unwrap_or(usual.limit),
            backoff: self.backoff.unwrap_or(usual.backoff),
            base_ms: self.base_ms.unwrap_or(usual.base_ms),
            cap_ms: self.cap_ms.unwrap_or(usual.cap_ms),
            retry_after_cap_ms: self.retry_after_cap_ms.unwrap_or(usual.retry_after_cap_ms),
        };
        // A process of the application's own has no sandbox: what the template's defaults say of one is for its other steps.
        let sandboxed = step.external().is_none();
        step.limits = StepLimits {
            memory_bytes_max: self.memory_bytes_max.filter(|_| sandboxed),
            cpu_ms_max: self.cpu_ms_max.filter(|_| sandboxed),
            output_bytes_max: self.output_bytes_max,
        };
    }

    /// A limit that only a sandbox can keep, if there is one among these settings.
    pub(crate) fn sandbox_limit(&self) -> Option<&'static str> {
        self.memory_bytes_max.map(|_| "memory").or(self.cpu_ms_max.map(|_| "cpu"))
    }
}

fn positive(
    fields: &Fields<'_>,
    key: &str,
    problems: &mut Problems,
    make: impl FnOnce(&str) -> Result<u64, String>,
) -> Option<u64> {
    let checked = |text: &str| match make(text)? {
        0 => Err(format!("'{text}' would let nothing run; leave '{key}' out for the default")),
        value => Ok(value),
    };
    fields.text(key, problems, checked).map(|(value, _)| value)
}

fn backoff(text: &str) -> Result<Backoff, String> {
    match text {
        "none" => Ok(Backoff::None),
        "linear" => Ok(Backoff::Linear),
        "exponential" => Ok(Backoff::Exponential),
        "fibonacci" => Ok(Backoff::Fibonacci),
        other => Err(format!("'{other}' is not a backoff; known are none, linear, exponential, fibonacci")),
    }
}
