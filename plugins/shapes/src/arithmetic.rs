//! The arithmetic steps. The crate's documentation holds the formulas.

use std::collections::BTreeSet;

use stepwright_sdk::prelude::*;

/// Every value is a remainder of this prime.
pub const MODULUS: i64 = 1_000_000_007;

/// What every arithmetic step gives.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The step's result.
    value: i64,
    /// The names of this step and of all the steps above it, sorted.
    trail: BTreeSet<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Start {
    /// The operand of the steps that have no parents.
    n: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Addend {
    /// What to add.
    #[serde(default)]
    add: i64,
    /// The number of the copy, if the step is repeated; added too.
    #[serde(default)]
    index: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Factor {
    /// What to multiply by.
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

/// Takes `n` of the task context as it is.
#[handler]
pub fn start(ctx: &Context) -> StepResult<Outcome> {
    combine(ctx, plus, 0)
}

/// Adds up what the parents gave.
#[handler]
pub fn sum(ctx: &Context) -> StepResult<Outcome> {
    combine(ctx, plus, 0)
}

/// Adds up what the parents gave and what the config says.
#[handler(config = Addend)]
pub fn add(ctx: &Context) -> StepResult<Outcome> {
    let config: Addend = ctx.config()?;
    combine(ctx, plus, plus(config.add, config.index))
}

/// Multiplies what the parents gave and what the config says.
#[handler(config = Factor)]
pub fn multiply(ctx: &Context) -> StepResult<Outcome> {
    let config: Factor = ctx.config()?;
    combine(ctx, times, config.by)
}

/// Squares the sum of what the parents gave.
#[handler]
pub fn square(ctx: &Context) -> StepResult<Outcome> {
    let Outcome { value, trail } = combine(ctx, plus, 0)?;
    Ok(Outcome { value: times(value, value), trail })
}

fn plus(left: i64, right: i64) -> i64 {
    (left.rem_euclid(MODULUS) + right.rem_euclid(MODULUS)) % MODULUS
}

fn times(left: i64, right: i64) -> i64 {
    (left.rem_euclid(MODULUS) * right.rem_euclid(MODULUS)) % MODULUS
}

/// Folds the operands, starting from `first`, and gathers the trail.
fn combine(ctx: &Context, fold: fn(i64, i64) -> i64, first: i64) -> StepResult<Outcome> {
    let mut trail = BTreeSet::from([ctx.step_name().to_owned()]);
    if ctx.parents().len() == 0 {
        let start: Start = ctx.task_context()?;
        return Ok(Outcome { value: fold(first, start.n), trail });
    }
    let mut value = first;
    for parent in ctx.parents() {
        let above: Outcome = parent.output()?;
        value = fold(value, above.value);
        trail.extend(above.trail);
    }
    Ok(Outcome { value, trail })
}

#[cfg(test)]
mod tests {
    use super::{MODULUS, Outcome, add, multiply, square, start, sum};
    use stepwright_sdk::prelude::*;
    use stepwright_sdk::testing::TestContext;

    fn outcome(value: i64, trail: &[&str]) -> Outcome {
        Outcome { value, trail: trail.iter().map(|step| (*step).to_owned()).collect() }
    }

    fn check(handler: fn(&Context) -> StepResult<Outcome>, test: TestContext, expect: Outcome) {
        assert_eq!(handler(test.step_name("me").context()), Ok(expect));
    }

    fn below_two_and_five() -> TestContext {
        TestContext::new().parent("b", &outcome(2, &["a", "b"])).parent("c", &outcome(5, &["a", "c"]))
    }

    #[test]
    fn a_step_without_parents_starts_from_the_task_context() {
        check(start, TestContext::new().task_context(json!({ "n": 6 })), outcome(6, &["me"]));
        check(square, TestContext::new().task_context(json!({ "n": -1 })), outcome(1, &["me"]));
        let error = start(TestContext::new().context()).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("invalid_input"));
    }

    #[test]
    fn every_parent_counts() {
        let trail = ["a", "b", "c", "me"];
        check(sum, below_two_and_five(), outcome(7, &trail));
        check(square, below_two_and_five(), outcome(49, &trail));
        check(add, below_two_and_five(), outcome(7, &trail));
        check(add, below_two_and_five().config(json!({ "add": 10, "index": 3 })), outcome(20, &trail));
        check(multiply, below_two_and_five(), outcome(10, &trail));
        check(multiply, below_two_and_five().config(json!({ "by": 3 })), outcome(30, &trail));
    }

    #[test]
    fn values_are_remainders() {
        let big = || TestContext::new().parent("b", &outcome(MODULUS - 1, &["b"]));
        check(add, big().config(json!({ "add": 2 })), outcome(1, &["b", "me"]));
        check(add, big().config(json!({ "add": -1 })), outcome(MODULUS - 2, &["b", "me"]));
        check(square, big(), outcome(1, &["b", "me"]));
        check(
            multiply,
            big().config(json!({ "by": i64::MAX })),
            outcome(1_000_000_007 - i64::MAX % MODULUS, &["b", "me"]),
        );
    }
}
