//! Durations, moments and sizes for people.

use std::time::Duration;

use stepwright_workflow::Timestamp;

pub(crate) use stepwright_workflow::when::{duration, micros, until};

/// How long ago `then` was.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    match now.since(then).as_secs() {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", duration(Duration::from_secs(seconds))),
    }
}

/// A size in bytes with a binary unit.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1_024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_relative() {
        let now = Timestamp(100_000);
        assert_eq!(ago(now, Timestamp(99_500)), "just now");
        assert_eq!(ago(now, Timestamp(88_000)), "12 s ago");
    }

    #[test]
    fn sizes_have_binary_units() {
        for (size, expect) in
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (4 << 20, "4.0 MiB"), (3 << 40, "3072.0 GiB")]
        {
            assert_eq!(bytes(size), expect);
        }
    }
}
