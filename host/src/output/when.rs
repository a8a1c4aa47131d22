//! Durations, moments and sizes for people.

use std::time::Duration;

use stepwright_workflow::Timestamp;

/// A duration in its two largest units, or with three digits below a minute.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.as_micros() {
        0 => "0 s".to_owned(),
        us @ 1..1_000 => format!("{us} µs"),
        us @ 1_000..10_000 => in_tenths(us / 100, "ms"),
        us @ 10_000..1_000_000 => format!("{} ms", us / 1_000),
        us @ 1_000_000..60_000_000 => in_tenths(us / 100_000, "s"),
        _ if seconds < 3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn in_tenths(tenths: u128, unit: &str) -> String {
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        rest => format!("{}.{rest} {unit}", tenths / 10),
    }
}

/// [`duration`] of microseconds.
pub(crate) fn micros(us: u64) -> String {
    duration(Duration::from_micros(us))
}

/// How long until `then`, in whole seconds rounded up from a second on: a countdown that does not flicker.
pub(crate) fn until(now: Timestamp, then: Timestamp) -> String {
    let left = then.since(now);
    let whole = u64::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    duration(if whole > 1 { Duration::from_secs(whole) } else { left })
}

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
    fn durations_keep_what_a_person_reads() {
        for (us, expect) in [
            (0, "0 s"),
            (840, "840 µs"),
            (1_250, "1.2 ms"),
            (7_040, "7 ms"),
            (340_900, "340 ms"),
            (1_290_000, "1.2 s"),
            (30_000_000, "30 s"),
            (200_000_000, "3 min 20 s"),
            (7_500_000_000, "2 h 5 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(micros(us), expect);
        }
    }

    #[test]
    fn moments_are_relative() {
        let now = Timestamp(100_000);
        assert_eq!(until(now, Timestamp(102_400)), "3 s");
        assert_eq!(until(now, Timestamp(100_250)), "250 ms");
        assert_eq!(until(now, Timestamp(1)), "0 s");
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
