//! What many measurements come to. Percentiles by nearest rank: each is one of the values, and no value is made up between two.

use serde::Serialize;

/// Measurements summed up. The unit is that of the values, which the name of the field says that holds this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Distribution {
    /// How many values there are. The rest is 0 where there are none.
    pub count: u64,
    /// Their sum over their count, rounded down.
    pub mean: u64,
    /// Half of the values are at most this.
    pub p50: u64,
    /// Ninety-five of a hundred values are at most this.
    pub p95: u64,
    /// Ninety-nine of a hundred values are at most this.
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

impl Distribution {
    /// Of these values, in whichever order.
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let count = values.len();
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        let mean = sum.checked_div(count as u128).unwrap_or(0);
        let rank = |per_cent: usize| match count {
            0 => 0,
            // The smallest rank, counted from one, that is at least so many per cent of all.
            count => values[(count * per_cent).div_ceil(100).max(1) - 1],
        };
        Self {
            count: count as u64,
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: values.last().copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_at_their_nearest_rank() {
        assert_eq!(Distribution::of(Vec::new()), Distribution::default());
        let one = Distribution { count: 1, mean: 7, p50: 7, p95: 7, p99: 7, max: 7 };
        assert_eq!(Distribution::of(vec![7]), one);
        let hundred = Distribution { count: 100, mean: 50, p50: 50, p95: 95, p99: 99, max: 100 };
        assert_eq!(Distribution::of((1..=100).rev().collect()), hundred);
        let three = Distribution { count: 3, mean: 3, p50: 2, p95: 8, p99: 8, max: 8 };
        assert_eq!(Distribution::of(vec![8, 1, 2]), three);
        assert_eq!(Distribution::of(vec![u64::MAX, u64::MAX]).mean, u64::MAX);
    }
}
