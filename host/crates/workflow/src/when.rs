//! Durations for people. A few sentences of the rules name one, so this stands here and not with the rest of the output.

use std::time::Duration;

use crate::Timestamp;

/// A duration in its two largest units, or with three digits below a minute.
pub fn duration(duration: Duration) -> String {
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
pub fn micros(us: u64) -> String {
    duration(Duration::from_micros(us))
}

/// How long until `then`, in whole seconds rounded up from a second on: a countdown that does not flicker.
pub fn until(now: Timestamp, then: Timestamp) -> String {
    let left = then.since(now);
    let whole = u64::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    duration(if whole > 1 { Duration::from_secs(whole) } else { left })
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
        let now = Timestamp(100_000);
        assert_eq!(until(now, Timestamp(102_400)), "3 s");
        assert_eq!(until(now, Timestamp(100_250)), "250 ms");
        assert_eq!(until(now, Timestamp(1)), "0 s");
    }
}
