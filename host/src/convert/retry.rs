//! Seconds, and how delays grow. The earlier engine waited 2 s after the first failure of a step, twice as long after each further
//! one, and never longer than 30 s.

use std::time::Duration;

use serde_json::Number;

use super::yaml::{Node, Value};

/// The first delay of the earlier engine, in milliseconds.
pub(super) const BASE_MS: u64 = 2_000;
/// Its longest delay, in milliseconds.
pub(super) const CAP_MS: u64 = 30_000;
/// Failed attempts allowed in all, there and here.
pub(super) const LIMIT: u32 = 3;
/// It had no limit on a step, and waited up to so long for those that it had begun together, in milliseconds.
pub(super) const TIMEOUT_MS: u64 = 120_000;
/// The longest duration here, in seconds: a year.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// What `retry_backoff` takes.
pub(super) const WANTED: &str = "write exponential, linear, fibonacci, constant or none; or initial_delay, max_delay and multiplier below it, in seconds";

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) shape: &'static str,
    /// Milliseconds.
    pub(super) base_ms: Option<u64>,
    /// Milliseconds.
    pub(super) cap_ms: Option<u64>,
}

/// Something of a `retry_backoff` that is different here: its key, what, and what to do.
pub(super) type Difference = (String, String, &'static str);

impl Backoff {
    const fn of(shape: &'static str) -> Self {
        Self { shape, base_ms: None, cap_ms: None }
    }

    /// The same delay each time: one that grows no further than where it begins.
    fn constant(base_ms: u64) -> Self {
        Self { shape: "exponential", base_ms: Some(base_ms), cap_ms: Some(base_ms) }
    }

    /// Reads a `retry_backoff`, with what is different here.
    pub(super) fn read(node: &Node) -> Result<(Self, Vec<Difference>), String> {
        match &node.value {
            Value::Text(word) => match word.as_str() {
                "exponential" => Ok((Self::of("exponential"), Vec::new())),
                "linear" => Ok((Self::of("linear"), Vec::new())),
                "fibonacci" => Ok((Self::of("fibonacci"), Vec::new())),
                "none" => Ok((Self::of("none"), Vec::new())),
                "constant" | "fixed" => Ok((Self::constant(BASE_MS), Vec::new())),
                other => Err(format!("'{other}' is not a backoff")),
            },
            Value::Map(entries) => {
                let entries: Vec<(&str, &Node)> =
                    entries.iter().map(|(key, node)| (key.text.as_str(), node)).collect();
                Self::of_parts(&entries)
            }
            _ => Err(format!("expected a word or a mapping, found {}", node.kind())),
        }
    }

    fn of_parts(entries: &[(&str, &Node)]) -> Result<(Self, Vec<Difference>), String> {
        let (mut backoff, mut factor, mut differences) = (Self::of("exponential"), 2.0, Vec::new());
        for (key, node) in entries.iter().filter(|(_, node)| node.value != Value::Null) {
            let named = |what: String| format!("{key}: {what}");
            match *key {
                "initial_delay" => backoff.base_ms = Some(seconds_ms(node).map_err(named)?),
                "max_delay" => backoff.cap_ms = Some(seconds_ms(node).map_err(named)?),
                "multiplier" => {
                    let number = number(node).and_then(Number::as_f64);
                    factor =
                        number.ok_or_else(|| named(format!("expected a number, found {}", node.kind())))?;
                }
                "jitter" if node.value == Value::Bool(true) => {}
                "jitter" => differences.push((
                    (*key).to_owned(),
                    "delays vary by 10 % up or down here".to_owned(),
                    "drop it",
                )),
                other => return Err(format!("unknown key '{other}'")),
            }
        }
        let base = backoff.base_ms.unwrap_or(BASE_MS);
        if (factor - 1.0).abs() < f64::EPSILON {
            backoff = Self::constant(base);
        } else if (factor - 2.0).abs() > f64::EPSILON {
            let what = format!("delays double here, and do not grow by a factor of {factor}");
            differences.push((
                "multiplier".to_owned(),
                what,
                "choose 'base', 'cap' and 'backoff: linear' or 'fibonacci' to come near",
            ));
        }
        // The cap that everybody has must not cut the first delay.
        if backoff.cap_ms.is_none() && base > CAP_MS {
            backoff.cap_ms = Some(base);
        }
        Ok((backoff, differences))
    }
}

fn number(node: &Node) -> Option<&Number> {
    if let Value::Number(number, _) = &node.value { Some(number) } else { None }
}

/// Seconds, which may have a fraction, in milliseconds.
fn seconds_ms(node: &Node) -> Result<u64, String> {
    let seconds =
        number(node).and_then(Number::as_f64).filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .and_then(|duration| u64::try_from(duration.as_millis()).ok())
        .ok_or_else(|| format!("'{}' is not a number of seconds up to a year", node.spot("").shown()))
}

/// A timeout in seconds, in milliseconds.
pub(super) fn timeout_ms(node: &Node) -> Result<u64, String> {
    match seconds_ms(node)? {
        0 => Err(format!("'{}' would let nothing run", node.spot("").shown())),
        ms => Ok(ms),
    }
}
