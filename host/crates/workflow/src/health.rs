//! One number for how well a system does, from counts that anybody can check.

use serde::Serialize;

/// What the score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HealthFacts {
    /// Tasks that completed in the time looked at.
    pub completed: u64,
    /// Tasks that ended in `error` in the time looked at, and still stand there.
    pub failed: u64,
    /// Tasks that are `pending` or `in_progress` now.
    pub active: u64,
    /// Tasks that are in `error` now.
    pub in_error: u64,
    /// A step could be claimed now.
    pub claimable: bool,
    /// Workers that are there now.
    pub workers: u64,
}

/// How well a system does: `score = (5 · success + 3 · flow + 2 · staffing) / 10`, rounded down. All are from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HealthScore {
    /// All of it.
    pub score: u8,
    /// Of the tasks that completed or ended in error in the time looked at, the per cent that completed, rounded down; 100 if
    /// there were none.
    pub success: u8,
    /// Of the tasks that are unfinished now, the per cent that are not in error, rounded down; 100 if there are none.
    pub flow: u8,
    /// 0 if a step could be claimed now and no worker is there, else 100.
    pub staffing: u8,
}

impl HealthScore {
    /// The score of these facts.
    pub fn of(facts: HealthFacts) -> Self {
        let success = percent(facts.completed, facts.completed.saturating_add(facts.failed));
        let flow = percent(facts.active, facts.active.saturating_add(facts.in_error));
        let staffing = if facts.claimable && facts.workers == 0 { 0 } else { 100 };
        let sum = 5 * u32::from(success) + 3 * u32::from(flow) + 2 * u32::from(staffing);
        Self { score: u8::try_from(sum / 10).unwrap_or(100), success, flow, staffing }
    }
}

/// A part in per cent of the whole, rounded down; 100 of nothing.
fn percent(part: u64, whole: u64) -> u8 {
    let share = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(100);
    u8::try_from(share).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut HealthFacts), expect: (u8, u8, u8, u8)) {
        let mut facts =
            HealthFacts { completed: 90, failed: 10, active: 3, in_error: 1, claimable: true, workers: 2 };
        change(&mut facts);
        let HealthScore { score, success, flow, staffing } = HealthScore::of(facts);
        assert_eq!((score, success, flow, staffing), expect, "{facts:?}");
    }

    #[test]
    fn the_score_is_the_weighted_mean_of_its_parts() {
        check(|_| {}, (87, 90, 75, 100));
        check(|facts| facts.workers = 0, (67, 90, 75, 0));
        check(|facts| (facts.workers, facts.claimable) = (0, false), (87, 90, 75, 100));
        check(|facts| facts.completed = 0, (42, 0, 75, 100));
        check(|facts| *facts = HealthFacts::default(), (100, 100, 100, 100));
        check(|facts| facts.in_error = u64::MAX, (65, 90, 0, 100));
    }
}
