//! Guests 9, 10 and 11: results that are too large, are none, or never come.

use stepwright_workflow::{FailureClass, StepLimits};

use super::with_handle;
use crate::attack::{Attack, Expected, Step};
use crate::corpus::Component;

pub(super) fn huge() -> Vec<Attack> {
    let told = |handler, n: u64| Step::hostile(handler).told(format!("{{\"n\":{n}}}"));
    let output = Expected::failed(FailureClass::OutputTooLarge, "output_bytes");
    let transfer = Expected::failed(FailureClass::OutputTooLarge, "transfer_bytes");
    // With memory enough to make it.
    let large = |mut step: Step| {
        step.limits.memory_bytes_max = Some(32 << 20);
        step
    };
    let fields = Step::hostile("log_long").told("{\"kind\":\"fields\",\"n\":60000}");
    vec![
        told("ramble", 100_000).expect("an output a little too large", output),
        large(told("ramble", 2 << 20)).expect("an output of 2 MiB", transfer),
        told("fail_long", 100_000).expect("an error a little too large", output),
        large(told("fail_long", 2 << 20)).expect("an error of 2 MiB", transfer),
        large(told("log_long", 2 << 20)).expect("a log line of 2 MiB", transfer),
        large(fields).expect("a log line of 60,000 fields", transfer),
        Step::text("giant_result").expect(
            "an output that claims to have a gigabyte",
            Expected::failed(FailureClass::Trap, "interface"),
        ),
        Step::text("bad_variant")
            .expect("neither a result nor an error", Expected::failed(FailureClass::Trap, "interface")),
    ]
}

pub(super) fn bad() -> Vec<Attack> {
    let no_json = Expected::failed(FailureClass::InvalidOutput, "output_json");
    let blurt = |kind: &str, n: u32| {
        let mut step = Step::hostile("blurt").told(format!("{{\"kind\":\"{kind}\",\"n\":{n}}}"));
        step.limits = StepLimits { output_bytes_max: Some(1 << 20), ..step.limits };
        step
    };
    let mut attacks: Vec<Attack> = ["empty", "cut", "nan", "two", "control", "surrogate", "number"]
        .map(|kind| blurt(kind, 0).expect(kind, no_json))
        .into();
    attacks.push(blurt("deep", 100_000).expect("100,000 arrays deep", no_json));
    attacks.push(blurt("deep_objects", 100_000).expect("100,000 objects deep", no_json));
    let not_utf8 = Expected::failed(FailureClass::InvalidOutput, "output_utf8");
    attacks.push(Step::text("not_utf8").expect("no UTF-8", not_utf8));
    attacks
}

pub(super) fn death() -> Vec<Attack> {
    let die = |kind: &str| Step::hostile("die").told(format!("{{\"kind\":\"{kind}\",\"n\":100}}"));
    let trap = |code| Expected::failed(FailureClass::Trap, code);
    let unreachable = trap("unreachable_code_reached");
    let made = |make| Step::of(Component::Made(make), "honest");
    vec![
        die("panic").expect("a panic", Expected { text: "the boiler burst", ..unreachable }),
        die("abort").expect("abort", unreachable),
        die("unreachable").expect("unreachable", unreachable),
        die("slice").expect("an index out of bounds", unreachable),
        die("exit_good").expect("exit 0", trap("exit")),
        die("exit_bad").expect("exit 7", trap("exit")),
        made(|| with_handle("(drop (i32.load (i32.const -8))) (i32.const 256)"))
            .expect("memory out of bounds", trap("memory_out_of_bounds")),
        made(|| with_handle("(drop (i32.div_u (i32.const 1) (i32.const 0))) (i32.const 256)"))
            .expect("a division by zero", trap("integer_division_by_zero")),
        made(|| with_handle("(i32.const -4)")).expect("a result out of bounds", trap("interface")),
    ]
}
