//! The step that does as little as a step can, for benchmarks.

use stepwright_sdk::prelude::*;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Count {
    n: u64,
}

/// What `noop` gives.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Done {
    ok: bool,
    n: u64,
    from: &'static str,
}

/// Counts one further than the task context or the furthest parent.
#[handler]
pub fn noop(ctx: &Context) -> StepResult<Done> {
    let mut furthest = None;
    for parent in ctx.parents() {
        furthest = furthest.max(Some(parent.output::<Count>()?.n));
    }
    let n = match furthest {
        Some(n) => n,
        None => ctx.task_context::<Count>()?.n,
    };
    Ok(Done { ok: true, n: n.saturating_add(1), from: "noop" })
}

#[cfg(test)]
mod tests {
    use super::noop;
    use crate::Plugin;
    use stepwright_sdk::prelude::*;
    use stepwright_sdk::testing::TestContext;

    #[test]
    fn it_counts_from_the_task_context_or_the_furthest_parent() {
        let test = TestContext::new();
        let output = test.call::<Plugin>("noop", json!({ "n": 4, "pad": "x" }));
        assert_eq!(output, Ok(json!({ "ok": true, "n": 5, "from": "noop" })));
        let test = test.parent("a", &json!({ "n": 7 })).parent("b", &output.unwrap());
        assert_eq!(noop(test.context()).unwrap().n, 8);
    }
}
