//! The simulator's schedules: none may violate anything, each replays exactly, and a defect put in on purpose is found.

use stepwright_tests::sim::{Sabotage, play};

/// Schedules in each of the sixteen tests.
const SCHEDULES: u64 = 125;

/// Schedules that once found a defect: a step leased to a worker that had been declared lost; a batch that was lost for two
/// reasons in one round, which no round could then commit; a worker that spun once its drain had run out of time.
const FOUND: [u64; 3] = [56, 100_719, 101_172];

fn schedules(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let report = play(seed, Sabotage::None);
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:#?}\nits whole story: cargo xtask simulate --seed {seed} --story",
            report.violations
        );
        assert!(report.tasks == 0 || !report.faults.is_empty(), "seed {seed} had no faults");
    }
}

macro_rules! parts {
    ($($name:ident: $part:literal),*) => {$(
        #[test]
        fn $name() {
            schedules($part * SCHEDULES..($part + 1) * SCHEDULES);
        }
    )*};
}

parts!(
    schedules_from_0: 0, schedules_from_125: 1, schedules_from_250: 2, schedules_from_375: 3,
    schedules_from_500: 4, schedules_from_625: 5, schedules_from_750: 6, schedules_from_875: 7,
    schedules_from_1000: 8, schedules_from_1125: 9, schedules_from_1250: 10, schedules_from_1375: 11,
    schedules_from_1500: 12, schedules_from_1625: 13, schedules_from_1750: 14, schedules_from_1875: 15
);

#[test]
fn schedules_that_found_something() {
    schedules(FOUND.into_iter());
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..20 {
        let (first, second) = (play(seed, Sabotage::None), play(seed, Sabotage::None));
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!(first.fingerprint, second.fingerprint);
    }
}

fn caught(sabotage: Sabotage, by: &str) {
    let found = (0..200).map(|seed| play(seed, sabotage)).find(|report| !report.violations.is_empty());
    let report = found.unwrap_or_else(|| panic!("200 schedules did not notice {sabotage:?}"));
    assert!(report.violations.iter().any(|violation| violation.contains(by)), "{:#?}", report.violations);
}

#[test]
fn a_store_without_the_fence_is_caught() {
    caught(Sabotage::NoFence, "was applied");
}

#[test]
fn a_store_that_lies_about_its_commits_is_caught() {
    caught(Sabotage::CommitLies, "");
}
