//! Guests 7, 19 and 26: too many calls, and too much in them.

use std::sync::Arc;

use stepwright_executor::Control;
use stepwright_workflow::FailureClass;

use crate::attack::{Attack, Expected, Seen, Step};
use crate::ground::{Ground, HOST_CALLS_MAX};

pub(super) fn output() -> Vec<Attack> {
    vec![
        Step::hostile("print_for_ever").until_cpu("without an end", 300),
        Attack::other(
            "16 MiB to each stream",
            |ground| Box::pin(printed(ground)),
            Expected::completed("33538048 bytes were dropped, 16 KiB were kept"),
        ),
    ]
}

/// What is printed beyond the limit is counted and dropped, and the guest does not notice.
async fn printed(ground: Arc<Ground>) -> Result<Seen, String> {
    let bytes = 16_u64 << 20;
    let step = Step::hostile("print").told(format!("{{\"n\":{bytes}}}"));
    let report = ground.execute(&step, Control::default()).await?;
    let seen = Seen::step(&report);
    if seen.class != "completed" {
        return Ok(seen);
    }
    let printed = report.log.iter().filter(|line| line.level == "stdout" || line.level == "stderr");
    let kept: usize =
        printed.filter(|line| !line.message.starts_with('…')).map(|line| line.message.len()).sum();
    Ok(Seen::completed(format!(
        "{} bytes were dropped, {} KiB were kept",
        report.receipt.log_dropped,
        kept >> 10
    )))
}

pub(super) fn spam() -> Vec<Attack> {
    let spam = |kind: &str| Step::hostile("spam").told(format!("{{\"kind\":\"{kind}\",\"n\":1024}}"));
    let flood = Expected::failed(FailureClass::OutputTooLarge, "host_call_bytes");
    let calls = Expected::failed(FailureClass::OutputTooLarge, "host_calls");
    let random = Step::hostile("spam").told("{\"kind\":\"random\",\"n\":1073741824}");
    vec![
        spam("byte").until_cpu("one byte at a time", 100),
        spam("clock").until_cpu("the clock", 100),
        spam("random").expect("random bytes", flood),
        spam("environment").until_cpu("the environment", 100),
        spam("cancelled").expect("whether it is cancelled", calls),
        spam("log_empty").expect("empty log lines", calls),
        spam("log").expect("log lines of 1 KiB", flood),
        spam("progress").expect("progress marks of 1 KiB", flood),
        random.expect("a gigabyte of random bytes", Expected::failed(FailureClass::Trap, "interface")),
    ]
}

pub(super) fn progress() -> Vec<Attack> {
    vec![
        Attack::other(
            "as many marks as it may make",
            |ground| Box::pin(marks(ground)),
            Expected::completed("one mark was kept, of 0.75 and 1024 bytes"),
        ),
        Step::hostile("progress")
            .told("{\"n\":1000000}")
            .expect("a million marks", Expected::failed(FailureClass::OutputTooLarge, "host_calls")),
        Step::text("progress_after_end").expect(
            "a mark after the result was taken",
            Expected::failed(FailureClass::Trap, "cannot_leave_component"),
        ),
    ]
}

/// Only the newest mark is kept, its number is one, and its note is cut.
async fn marks(ground: Arc<Ground>) -> Result<Seen, String> {
    let control = Control::default();
    let step = Step::hostile("progress").told(format!("{{\"n\":{}}}", HOST_CALLS_MAX - 1));
    let seen = Seen::step(&ground.execute(&step, control.clone()).await?);
    if seen.class != "completed" {
        return Ok(seen);
    }
    let newest = control.take_progress().ok_or("no mark was kept")?;
    if let Some(other) = control.take_progress() {
        return Err(format!("another mark was kept: {other:?}"));
    }
    Ok(Seen::completed(format!("one mark was kept, of {} and {} bytes", newest.0, newest.1.len())))
}
