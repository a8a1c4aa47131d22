//! How often a step is tried, and how long to wait before the next try.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shape of the delays between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// No delay.
    None,
    /// base, 2·base, 3·base …
    Linear,
    /// base, 2·base, 4·base …
    #[default]
    Exponential,
    /// base, base, 2·base, 3·base, 5·base …
    Fibonacci,
}

/// A step's retry rule. A first attempt is always eligible, whatever stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Failed attempts allowed in all: 1 means no retry.
    pub limit: u32,
    /// The shape of the delays.
    pub backoff: Backoff,
    /// The first delay, in milliseconds.
    pub base_ms: u64,
    /// The longest computed delay, in milliseconds.
    pub cap_ms: u64,
    /// The longest delay that a handler may ask for, in milliseconds.
    pub retry_after_cap_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            limit: 3,
            backoff: Backoff::Exponential,
            base_ms: 1_000,
            cap_ms: 60_000,
            retry_after_cap_ms: 300_000,
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the failure number `failures` (counted from 1).
    ///
    /// A handler's own `retry_after_ms` wins over the computed delay, up to its cap and without jitter. `random` is uniform
    /// in `0..=u32::MAX` and spreads the computed delay by ± 10 %.
    pub fn delay(&self, failures: u32, retry_after_ms: Option<u64>, random: u32) -> Duration {
        if let Some(wanted) = retry_after_ms {
            return Duration::from_millis(wanted.min(self.retry_after_cap_ms));
        }
        let computed = self.base_ms.saturating_mul(self.factor(failures)).min(self.cap_ms);
        let spread = computed / 5;
        let jitter =
            u64::try_from(u128::from(spread) * u128::from(random) / u128::from(u32::MAX)).unwrap_or(spread);
        Duration::from_millis(computed - spread / 2 + jitter)
    }

    fn factor(&self, failures: u32) -> u64 {
        match self.backoff {
            Backoff::None => 0,
            Backoff::Linear => u64::from(failures.max(1)),
            Backoff::Exponential => 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX),
            Backoff::Fibonacci => {
                let (mut previous, mut current) = (0_u64, 1_u64);
                for _ in 1..failures.min(93) {
                    (previous, current) = (current, previous.saturating_add(current));
                }
                current
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: Backoff, failures: std::ops::RangeInclusive<u32>) -> Vec<u64> {
        let policy = RetryPolicy { backoff, ..RetryPolicy::default() };
        // The middle of the jitter is the computed delay itself.
        let millis = |n| u64::try_from(policy.delay(n, None, u32::MAX / 2 + 1).as_millis()).unwrap();
        failures.map(|n| millis(n) / 10 * 10).collect()
    }

    #[test]
    fn delays_follow_their_shape_up_to_the_cap() {
        assert_eq!(delays(Backoff::None, 1..=3), [0, 0, 0]);
        assert_eq!(delays(Backoff::Linear, 1..=3), [1_000, 2_000, 3_000]);
        assert_eq!(
            delays(Backoff::Exponential, 1..=8),
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        );
        assert_eq!(delays(Backoff::Fibonacci, 1..=6), [1_000, 1_000, 2_000, 3_000, 5_000, 8_000]);
        assert_eq!(delays(Backoff::Exponential, 500..=500), [60_000]);
    }

    #[test]
    fn jitter_stays_within_ten_per_cent() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, None, 0).as_millis(), 900);
        assert_eq!(policy.delay(1, None, u32::MAX).as_millis(), 1_100);
    }

    #[test]
    fn the_handlers_wish_wins_up_to_its_cap() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, Some(250), 0).as_millis(), 250);
        assert_eq!(policy.delay(1, Some(u64::MAX), 0).as_millis(), 300_000);
    }
}
